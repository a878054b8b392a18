"""`skills completion SHELL`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash:  skills completion bash > ~/.local/share/bash-completion/completions/skills
    zsh:   skills completion zsh > ~/.zfunc/_skills     (with ~/.zfunc in fpath)
    fish:  skills completion fish > ~/.config/fish/completions/skills.fish
    """
    from realitygap.cli.program import program

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    script = kind(program, {}, "skills", "_SKILLS_COMPLETE")
    # `source()` would start bash to see its version, also where the script is made for another machine.
    click.echo(script.source_template % script.source_vars())
