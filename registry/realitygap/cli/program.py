"""The group of commands: a table of what exists, and what plugins add."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module

import click

from realitygap.cli.commands import COMMANDS
from realitygap.discovery import Registry
from realitygap.errors import Explained, nearest, unknown
from realitygap.selection import names


class Program(click.Group):
    """Commands of the table above, and those that `plugin.yaml` of the plugins lists."""

    @cached_property
    def registry(self) -> Registry:
        # Also in strict mode: help must work where a plugin does not.
        return Registry.discover(strict=False)

    @staticmethod
    def registry_of(context: click.Context) -> Registry:
        command = context.find_root().command
        return command.registry if isinstance(command, Program) else Registry.discover(strict=False)

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
@click.option("--plugins", "allowed", multiple=True, metavar="NAMES", help="Of third parties only these plugins, separated by commas.")
@click.option("--disable-plugins", "denied", multiple=True, metavar="NAMES", help="Do without these plugins.")
@click.option("--no-plugins", is_flag=True, help="Do without the plugins of third parties.")
@click.option("--strict-plugins", is_flag=True, help="Fail where a plugin is invalid or cannot be loaded.")
@click.option("--skills-dir", "skills_dirs", multiple=True, metavar="DIR", help="A folder with more skills; may be repeated.")
@click.version_option(package_name="realitygap", prog_name="skills")
@click.pass_context
def program(
    context: click.Context,
    color: str,
    allowed: tuple[str, ...],
    denied: tuple[str, ...],
    no_plugins: bool,
    strict_plugins: bool,
    skills_dirs: tuple[str, ...],
) -> None:
    """Measure the gap between a simulated robot and the real one, close it, and prove it.

    `skills list` says what there is, `skills run NAME` runs it.
    """
    # What the options choose is in the environment by now (`execute`). Here a slip in them is told.
    if no_plugins and allowed:
        raise click.UsageError("--no-plugins and --plugins contradict each other")
    if not allowed and not denied:
        return
    registry = Program.registry_of(context)
    for name in (one for text in (*allowed, *denied) for one in names(text)):
        if name in registry.unmatched:
            raise unknown("plugin", name, {known for one in registry.plugins.values() for known in (one.name, one.distribution)})
