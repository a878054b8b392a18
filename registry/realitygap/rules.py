"""The rules of `skills check`: what each code says, why, and how to mend it.

Those of the registry are declared in `rules.yaml` here, those of a plugin in `rules.yaml` beside its `plugin.yaml`. They are data, so that
`skills rule` explains a rule without importing the plugin it comes from. They are read only when a rule has to be explained.

book = RuleBook.of(registry)
book.find("TRI201").mend
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realitygap.document import join, load, shown_path
from realitygap.errors import InputError, nearest
from realitygap.findings import Finding, Severity

if TYPE_CHECKING:
    from realitygap.discovery import Registry

FILE = "rules.yaml"
OWN_PREFIX = "RG"
_TEXTS = ("name", "severity", "says", "why", "mend", "example")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One thing that `skills check` looks for."""

    code: str
    """Such as `RG201`; the prefix says who declares it."""
    name: str
    """The same in words joined by hyphens."""
    severity: Severity
    """What a finding of this rule is; where it varies `says` states when it is the other."""
    says: str
    """What is wrong."""
    why: str
    """What comes of it."""
    mend: str
    """What to do."""
    example: str
    """A few lines, wrong and right."""
    fix: bool = False
    """Whether `skills check --fix` can mend some of it."""
    plugin: str = "realitygap"
    """Who declares it."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def load_rules(path: Path, plugin: str) -> tuple[Rule, ...]:
    """The rules that a file declares, in its order. Raises `InputError` with the place of what is wrong."""
    document = load(path)
    table = document.data.get("rules") if isinstance(document.data, dict) else None
    if not isinstance(table, dict):
        raise document.error("/rules", "'rules' maps codes to rules", hint="for example `rules: {ACME101: {name: ..., says: ...}}`")
    rules = []
    for code, entry in table.items():
        place = join("", "rules", code)
        if not isinstance(entry, dict):
            raise document.error(place, f"'{code}' must be a mapping of {', '.join(_TEXTS)}")
        for key in _TEXTS:
            if not isinstance(entry.get(key), str) or not entry[key].strip():
                raise document.error(join(place, key), f"'{code}' needs a text '{key}'")
        if entry["severity"] not in ("error", "warning"):
            raise document.error(join(place, "severity"), f"the severity of '{code}' must be error or warning")
        texts = {key: entry[key].strip() for key in _TEXTS}
        rules.append(Rule(code=code, **texts, fix=entry.get("fix") is True, plugin=plugin))
    return tuple(rules)


class RuleBook:
    """Every rule that can be named here."""

    def __init__(
        self, rules: Iterable[Rule], *, prefixes: Iterable[str] = (), problems: Iterable[str] = (), incomplete: bool = False
    ) -> None:
        self.rules = {rule.code: rule for rule in rules}
        """By code; the registry's first, then plugin by plugin."""
        self.prefixes = frozenset(prefixes)
        """Prefixes of plugins that give findings and declare no rules."""
        self.problems = tuple(problems)
        """Tables that cannot be read, one line each."""
        self.incomplete = incomplete
        """Whether a plugin is disabled or broken, so that codes of others than the registry cannot be called unknown."""

    @classmethod
    def of(cls, registry: Registry) -> RuleBook:
        """The rules of the registry and of the plugins that take part. A table that cannot be read is noted and passed over."""
        rules = list(load_rules(Path(__file__).with_name(FILE), "realitygap"))
        prefixes: list[str] = []
        problems: list[str] = []
        for record in registry.active_plugins:
            file = record.directory / FILE if record.directory else None
            if file is None or not file.is_file() or not record.checks:
                prefixes += record.checks
                continue
            try:
                # A code of somebody else stays that of its owner.
                rules += [rule for rule in load_rules(file, record.name) if rule.code.startswith(record.checks)]
            except InputError as error:
                problems.append(f"{record.label}: {error.where or shown_path(file)}: {error.message}")
                prefixes += record.checks
        return cls(rules, prefixes=prefixes, problems=problems, incomplete=len(registry.active_plugins) < len(registry.plugins))

    def find(self, code: str) -> Rule | None:
        """The rule of a code."""
        return self.rules.get(code)

    def under(self, selector: str) -> list[Rule]:
        """The rules whose code is, or begins with, the selector; all for `ALL`."""
        return [rule for code, rule in self.rules.items() if selector == "ALL" or code.startswith(selector)]

    def knows(self, selector: str) -> bool:
        """Whether a code or prefix can be that of a finding."""
        if selector and (self.under(selector) or any(one.startswith(selector) or selector.startswith(one) for one in self.prefixes)):
            return True
        return self.incomplete and selector.isalnum() and not selector.startswith(OWN_PREFIX)

    def did_you_mean(self, selector: str) -> str:
        """What to do about a selector that is not known."""
        close = nearest(selector.upper(), self.rules)
        return f"did you mean '{close}'?" if close else "`skills rule --all` lists the rules"

    def require(self, selector: str, where: str) -> str:
        """The selector itself. Raises `InputError` where it names no rule.

        Args:
            where: what it was given to, such as `--select`.
        """
        if not self.knows(selector):
            raise InputError(f"no rule has the code or prefix '{selector}'", where=where, hint=self.did_you_mean(selector))
        return selector

    def mended(self, finding: Finding) -> Finding:
        """The finding with the advice of its rule, where it has none of its own."""
        rule = None if finding.hint else self.find(finding.rule)
        return replace(finding, hint=rule.mend) if rule else finding
