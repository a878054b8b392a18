"""`skills rule CODE`."""

from __future__ import annotations

import click

from realitygap.cli.terminal import echo, echo_json, styled, table, warn
from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap.rules import Rule, RuleBook


@click.command("rule")
@click.argument("codes", nargs=-1, metavar="[CODE]...")
@click.option("--all", "every", is_flag=True, help="List every rule.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def rule(codes: tuple[str, ...], every: bool, as_json: bool) -> int:
    """Explain a rule of `skills check`: what it says, why, how to mend it, an example.

    CODE is that of a rule, such as TRI201, or the beginning of several, such as RG3.
    """
    if bool(codes) == every:
        raise InputError("say which rule, or --all", hint="for example `skills rule TRI201`; `skills rule --all` lists them")
    book = RuleBook.of(Registry.discover())
    for problem in book.problems:
        warn(problem)
    rules = list(book.rules.values()) if every else _chosen(codes, book)
    if as_json:
        echo_json([one.to_json() for one in rules])
    elif len(codes) == 1 and len(rules) == 1:
        _explain(rules[0])
    else:
        rows = [(one.code, one.severity, one.name, one.says + (" (--fix)" if one.fix else "")) for one in rules]
        for line in table(rows, ("CODE", "SEVERITY", "NAME", "SAYS")):
            echo(line)
    return 0


def _chosen(codes: tuple[str, ...], book: RuleBook) -> list[Rule]:
    chosen: dict[str, Rule] = {}
    for code in codes:
        found = book.under(code.upper())
        if not found:
            raise InputError(f"there is no rule '{code}'", hint=book.did_you_mean(code))
        chosen |= {one.code: one for one in found}
    return list(chosen.values())


def _explain(one: Rule) -> None:
    echo(styled(f"{one.code} {one.name}", "bold") + f"   {one.severity}, from {one.plugin}")
    echo()
    echo(one.says)
    echo(one.why)
    echo()
    echo(f"To mend it: {one.mend}")
    if one.fix:
        echo("`skills check --fix PATH` mends what can be mended safely, and shows it first with --diff.")
    echo()
    for line in one.example.splitlines():
        echo(f"    {line}")
    echo()
    echo(f"Silence it here with `realitygap: ignore[{one.code}]` in a comment, everywhere with `--ignore {one.code}`.")
