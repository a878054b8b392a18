"""`skill://name#RRGGBB` in texts: which skill and colour are named, and where they disagree. A colour never says anything about a trit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from realitygap_plugins.triads.patterns import pattern
from realitygap_plugins.triads.text import Text

ANCHOR = "skill://"
_URI = pattern(r"skill://(?P<name>[\w.@%~-]*(?:/[\w.@%~-]+)*)(?P<fragment>#[\w-]*)?")
_COLOR = pattern(r"#[0-9A-Fa-f]{6}\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class SkillUri:
    """One mention of a skill by its address."""

    name: str
    color: str | None
    """`#rrggbb` in lower case; None where none is given or it is malformed."""
    text: str
    path: str
    line: int
    column: int
    owner: str | None = None
    """The skill in whose files it stands."""
    own: bool = False
    """It is given as the address of that skill: `URI: skill://...`."""

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}"

    @property
    def malformed(self) -> str:
        """What is wrong with its form; empty where nothing is."""
        if not self.name:
            return "it names no skill"
        if "#" in self.text and self.color is None:
            return f"'#{self.text.split('#', 1)[1]}' is no colour; write #RRGGBB"
        return ""


def find_uris(text: Text, *, path: str, owner: str | None = None) -> list[SkillUri]:
    """Every `skill://` address in the text. Addresses with a template in them (`skill://{name}`) are passed over."""
    found = []
    for number in text.lines_with(ANCHOR):
        line = text.line(number)
        for match in _URI.finditer(line):
            following = line[match.end() : match.end() + 1]
            name = match["name"].rstrip(".")
            if following in ("{", "<", "$", "[") or (not match["fragment"] and not name.strip(".")):
                continue  # a template, or the scheme alone
            fragment = match["fragment"] or ""
            color = fragment.lower() if _COLOR.match(fragment) else None
            before = line[max(0, match.start() - 20) : match.start()]
            own = bool(re.search(r"(?:^|\W)URI\W{0,6}$", before, re.IGNORECASE))
            shown = f"{ANCHOR}{name}{fragment}"
            found.append(
                SkillUri(name=name, color=color, text=shown, path=path, line=number, column=match.start() + 1, owner=owner, own=own)
            )
    return found


def own_color(name: str, color: str | None, path: str) -> SkillUri | None:
    """The colour that a skill declares itself as a mention of it at the beginning of its file; None where it declares none."""
    if color is None or not _COLOR.match(color):
        return None
    return SkillUri(name=name, color=color.lower(), text=color, path=path, line=1, column=1, owner=name, own=True)


def colors_by_name(uris: Iterable[SkillUri]) -> dict[str, dict[str, SkillUri]]:
    """For each skill the colours that it is given, with the first mention of each."""
    colors: dict[str, dict[str, SkillUri]] = {}
    for uri in uris:
        if uri.name and uri.color:
            colors.setdefault(uri.name, {}).setdefault(uri.color, uri)
    return colors


def collisions(uris: Iterable[SkillUri]) -> Iterator[tuple[str, dict[str, SkillUri]]]:
    """Colours that several skills have, each with the first mention for every one of these skills."""
    names: dict[str, dict[str, SkillUri]] = {}
    for uri in uris:
        if uri.name and uri.color:
            names.setdefault(uri.color, {}).setdefault(uri.name, uri)
    for color, owners in sorted(names.items()):
        if len(owners) > 1:
            yield color, owners
