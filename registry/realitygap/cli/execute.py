"""Executes a command line: what becomes of errors, interrupts and a stdout that cannot be written."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from realitygap import selection
from realitygap.cli import terminal
from realitygap.errors import Cancelled, Explained, InputError


def execute(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; the exit code. `run --json` gets its one document here where the command itself came to none."""
    # Without a word it says what it can do.
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    code, error = _execute(given)
    try:
        if error is not None:
            terminal.complain(error)
            _document(given, error, "interrupted" if code == 130 else "failed")
        sys.stdout.flush()
    except OSError:
        # The reader has gone, as in `skills list | head`, or the disk is full. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _execute(given: list[str]) -> tuple[int, Explained | None]:
    """The exit code, and what went wrong."""
    try:
        _apply(_split(given)[0])
        code = _command(given)
        sys.stdout.flush()
        return code, None
    except (KeyboardInterrupt, Cancelled):
        return 130, Explained("interrupted")
    except BrokenPipeError:
        return 141, None
    except Explained as error:
        return error.exit_code, error
    except Exception as error:
        if os.environ.get("REALITYGAP_DEBUG"):
            raise
        if isinstance(error, FileNotFoundError) and error.filename is None:
            return 3, Explained("the working directory does not exist any more")
        if isinstance(error, OSError):
            return 3, Explained(error.strerror or str(error), where=None if error.filename is None else str(error.filename))
        first = next(iter(str(error).splitlines()), "")
        hint = "this is a fault of the program; REALITYGAP_DEBUG=1 shows where"
        return 3, Explained(f"unexpected {type(error).__name__}: {first}", hint=hint)


def _command(given: list[str]) -> int:
    if given in (["list"], ["list", "--json"]):
        # Importing click takes a third of the time of this command.
        from realitygap.cli.listing import write_list

        write_list(as_json=len(given) > 1)
        return 0
    import click

    from realitygap.cli.program import program

    # A second call in one process may find other plugins.
    program.__dict__.pop("registry", None)
    try:
        result = program.main(args=given, prog_name="skills", standalone_mode=False)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "skills"
        # Choices are listed one a line.
        raise InputError(" ".join(error.format_message().split()), hint=f"`{command} --help` says what it takes") from None
    except click.ClickException as error:
        raise InputError(error.format_message()) from None
    except click.Abort:
        raise KeyboardInterrupt from None
    return result if isinstance(result, int) and not isinstance(result, bool) else 0


def _document(given: list[str], error: Explained, status: str) -> None:
    """The document of a run that did not come about. The arguments are read leniently, because they may be what is wrong."""
    words = _split(given)[1]
    if words[:1] == ["run"]:
        from realitygap.cli.run import run as command
    elif words[:2] == ["runs", "resume"]:
        from realitygap.cli.runs import resume as command

        words = words[1:]
    else:
        return
    context = command.make_context(words[0], words[1:], resilient_parsing=True, ignore_unknown_options=True, allow_extra_args=True)
    if context.params.get("as_json"):
        from realitygap.run_status import result_document

        # An option that does not exist counts as an argument here.
        names = [context.params.get("name"), *context.args]
        skill = next((name for name in names if name and not name.startswith("-")), "")
        terminal.echo_json(result_document(None, skill, status, error=error.to_json()))


def _split(arguments: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """The options before the command, with their values, and the words from the command on."""
    options, words = [], list(arguments)
    while words and words[0].startswith("-"):
        name, equals, value = words.pop(0).partition("=")
        if name in (*selection.VALUED, "--color") and not equals:
            value = words.pop(0) if words else ""
        options.append((name, value))
    return options, words


def _apply(options: list[tuple[str, str]]) -> None:
    """Acts on the options before the command, which decide what commands there are, and hands them to child processes by the
    environment."""
    terminal.Color.choice = "auto"
    for name, value in options:
        if name == "--color" and value in ("always", "never", "auto"):
            terminal.Color.choice = value
    selection.apply(options, os.environ)
