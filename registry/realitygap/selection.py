"""Which plugins take part: a choice in the environment, so that whatever a process starts has the same one.

| variable | option of `skills` | says |
|---|---|---|
| `REALITYGAP_PLUGINS` | `--plugins NAMES`, `--no-plugins` | only these, of third parties; empty for none |
| `REALITYGAP_DISABLE_PLUGINS` | `--disable-plugins NAMES` | not these, those of this distribution included |
| `REALITYGAP_STRICT_PLUGINS` | `--strict-plugins` | a plugin that is invalid or cannot be loaded is an error |
| `REALITYGAP_SKILLS_DIR` | `--skills-dir DIR` | folders with more skills, separated like PATH |

A name is that of a plugin or of its distribution, written with `-` or `_`, in any case. A denied plugin stays out also where it is allowed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path

ALLOW, DENY, STRICT, SKILLS_DIR = "REALITYGAP_PLUGINS", "REALITYGAP_DISABLE_PLUGINS", "REALITYGAP_STRICT_PLUGINS", "REALITYGAP_SKILLS_DIR"
VALUED = ("--plugins", "--disable-plugins", "--skills-dir")
"""Options that take a value."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which plugins take part."""

    allow: frozenset[str] | None = None
    """Names of plugins or distributions; None is all. What comes with this distribution always takes part, unless denied."""
    deny: frozenset[str] = frozenset()
    """Names of plugins or distributions. Denying this distribution would leave nothing: its plugins are denied one by one."""
    strict: bool = False
    """Whether a plugin that is invalid or cannot be loaded is an error."""
    skills_dirs: tuple[Path, ...] = ()

    @classmethod
    def from_environment(cls) -> Selection:
        """The choice that the variables say."""
        allow = os.environ.get(ALLOW)
        directories = os.environ.get(SKILLS_DIR, "")
        return cls(
            allow=None if allow is None else frozenset(names(allow)),
            deny=frozenset(names(os.environ.get(DENY, ""))),
            strict=os.environ.get(STRICT, "") not in ("", "0"),
            skills_dirs=tuple(Path(one).expanduser() for one in directories.split(os.pathsep) if one),
        )

    def admits(self, name: str, distribution: str, *, builtin: bool = False) -> bool:
        """Whether a plugin takes part."""
        plugin, both = normal(name), {normal(name), normal(distribution)}
        deny = {normal(one) for one in self.deny}
        if builtin:
            return plugin not in deny
        return not both & deny and (self.allow is None or bool(both & {normal(one) for one in self.allow}))

    def unmatched(self, present: Iterable[tuple[str, str]]) -> tuple[str, ...]:
        """The names, of both lists, that fit no plugin and no distribution. A slip there would otherwise go unseen."""
        known = {normal(one) for pair in present for one in pair}
        return tuple(sorted(one for one in (self.allow or frozenset()) | self.deny if normal(one) not in known))

    def options(self) -> list[str]:
        """The same choice as options of `skills`, for a command line that somebody else will run."""
        given = []
        if self.allow is not None:
            given += ["--plugins", ",".join(sorted(self.allow))] if self.allow else ["--no-plugins"]
        if self.deny:
            given += ["--disable-plugins", ",".join(sorted(self.deny))]
        if self.strict:
            given.append("--strict-plugins")
        return given + [word for directory in self.skills_dirs for word in ("--skills-dir", os.path.abspath(directory))]


def apply(options: Iterable[tuple[str, str]], environment: MutableMapping[str, str]) -> None:
    """Writes the options into the environment. An allow list replaces the one that is there; the others add to it, so that what is kept
    out for all stays out."""
    given = list(options)
    if any(name == "--no-plugins" for name, _ in given):
        environment[ALLOW] = ""
    elif any(name == "--plugins" for name, _ in given):
        environment[ALLOW] = ",".join(_values(given, "--plugins"))
    if denied := list(_values(given, "--disable-plugins")):
        environment[DENY] = ",".join(dict.fromkeys([*names(environment.get(DENY, "")), *denied]))
    if any(name == "--strict-plugins" for name, _ in given):
        environment[STRICT] = "1"
    if directories := [os.path.abspath(Path(value).expanduser()) for name, value in given if name == "--skills-dir" and value]:
        existing = environment.get(SKILLS_DIR)
        environment[SKILLS_DIR] = os.pathsep.join([*directories, *([existing] if existing else [])])


def normal(name: str) -> str:
    """A name as names are compared: `Acme_Gap` is `acme-gap`."""
    return name.lower().replace("_", "-").replace(".", "-")


def names(text: str) -> list[str]:
    """The names in a list separated by commas."""
    return [name for name in (part.strip() for part in text.split(",")) if name]


def _values(options: Iterable[tuple[str, str]], option: str) -> Iterator[str]:
    for name, value in options:
        if name == option:
            yield from names(value)
