"""The group of commands: a table of what exists, and what becomes of errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from realitygap.cli.commands import COMMANDS
from realitygap.discovery import Registry
from realitygap.errors import Cancelled, Explained, nearest


class Program(click.Group):
    """Commands of the table above, and those that `plugin.yaml` of the plugins lists."""

    @cached_property
    def registry(self) -> Registry:
        return Registry.discover()

    def list_commands(self, context: click.Context) -> list[str]:
        return [*COMMANDS, *sorted(name for name in self.registry.commands if name not in COMMANDS)]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in COMMANDS:
            module, _, attribute = COMMANDS[name][0].partition(":")
            command: click.Command = getattr(import_module(module), attribute)
            return command
        if name in self.registry.commands:
            return self._plugin_command(name)
        return None

    def resolve_command(self, context: click.Context, arguments: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        name = arguments[0]
        # Discovery is left to the command where the table already knows it.
        known = [] if name in COMMANDS or name.startswith("-") else self.list_commands(context)
        if known and name not in known:
            if name in self.registry.skills:
                context.fail(f"'{name}' is a skill: `skills run {name}` runs it, `skills show {name}` describes it")
            close = nearest(name, known)
            context.fail(f"unknown command '{name}'" + (f"; did you mean '{close}'?" if close else f"; there are: {', '.join(known)}"))
        return super().resolve_command(context, arguments)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])
        others = [(name, self.registry.commands[name][0]) for name in self.list_commands(context) if name not in COMMANDS]
        if others:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, record.command_summaries.get(name) or f"from {record.name}") for name, record in others])

    def _plugin_command(self, name: str) -> click.Command:
        from realitygap.components import load_object

        record, entry = self.registry.commands[name]
        try:
            command = load_object(entry)
        except (Explained, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise Explained(
                f"{record.label}: command '{name}' cannot be imported: {type(error).__name__}: {error}", hint=record.remedy
            ) from error
        if not isinstance(command, click.Command):
            raise Explained(f"{record.label}: '{entry}' is no click command", hint=record.remedy)
        return command


@click.command(cls=Program, name="skills", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="When to use colour; NO_COLOR is honoured.")
@click.option("--no-plugins", is_flag=True, help="Do without the plugins of third parties.")
@click.option("--skills-dir", "skills_dirs", multiple=True, metavar="DIR", help="A folder with more skills; may be repeated.")
@click.version_option(package_name="realitygap", prog_name="skills")
@click.pass_context
def program(context: click.Context, color: str, no_plugins: bool, skills_dirs: tuple[str, ...]) -> None:
    """Measure the gap between a simulated robot and the real one, close it, and prove it.

    `skills list` says what there is, `skills run NAME` runs it.
    """


def execute(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _apply(given)
        # A second call in one process may find other plugins.
        program.__dict__.pop("registry", None)
        result = program.main(args=given, prog_name="skills", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) and not isinstance(result, bool) else 0
    except click.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, Cancelled):
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:
        # The reader has gone, as in `skills list | head`. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Explained as error:
        complain(error)
        return error.exit_code
    except Exception as error:
        if os.environ.get("REALITYGAP_DEBUG"):
            raise
        first = next(iter(str(error).splitlines()), "")
        complain(
            Explained(f"unexpected {type(error).__name__}: {first}", hint="this is a fault of the program; REALITYGAP_DEBUG=1 shows where")
        )
        return 3


def complain(error: Explained) -> None:
    """One clear line on stderr, with the place and what to do."""
    click.echo(f"{click.style('error', fg='red', bold=True)}: {error}", err=True, color=use_color(sys.stderr))


def use_color(stream: Any, choice: str = "auto") -> bool:
    """`--color`, else NO_COLOR, else CLICOLOR_FORCE or FORCE_COLOR, else whether the stream is a terminal."""
    if choice == "auto":
        choice = _State.color
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if any(os.environ.get(name, "0") != "0" for name in ("CLICOLOR_FORCE", "FORCE_COLOR")):
        return True
    return bool(getattr(stream, "isatty", lambda: False)())


class _State:
    color = "auto"


def _apply(arguments: list[str]) -> None:
    """Acts on the options before the command, which decide what commands there are, and hands them to child processes by the
    environment."""
    _State.color = "auto"
    directories = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if not argument.startswith("-"):
            break
        if name == "--no-plugins":
            os.environ["REALITYGAP_PLUGINS"] = ""
        elif name in ("--skills-dir", "--color"):
            value = value if equals else next(rest, "")
            if name == "--skills-dir" and value:
                directories.append(os.path.abspath(Path(value).expanduser()))
            elif value in ("always", "never", "auto"):
                _State.color = value
    if directories:
        existing = os.environ.get("REALITYGAP_SKILLS_DIR")
        os.environ["REALITYGAP_SKILLS_DIR"] = os.pathsep.join([*directories, *([existing] if existing else [])])
