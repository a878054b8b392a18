"""Skills beside those that are checked: when one of a collection is checked, those that it names lie in the folders next to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from realitygap.discovery import WORKSPACE, Registry
from realitygap.document import load
from realitygap.errors import InputError
from realitygap.guides import NAME
from realitygap.skill import Skill


def neighbours(skills: Iterable[Skill], registry: Registry) -> list[Skill]:
    """The skills in sibling folders that these name, and those that they name in turn, as far as the registry does not know them."""
    waiting = list(skills)
    known = {one.directory.resolve() for one in waiting} | set(registry.places)
    names = {one.name for one in waiting}
    found = []
    while waiting:
        skill = waiting.pop()
        beside = skill.directory.resolve().parent
        for name in _named(skill):
            folder = beside / name
            if name in names or name in registry.skills or not NAME.match(name) or folder in known:
                continue
            known.add(folder)
            if not (folder / "skill.yaml").is_file():
                continue
            try:
                document = load(folder / "skill.yaml")
                other = Skill.from_manifest(
                    document.data, directory=folder, plugin=WORKSPACE, distribution=WORKSPACE, distribution_version="", builtin=False
                )
            except InputError:
                continue  # a finding of its own when it is checked
            if other.name == name:
                found.append(other)
                waiting.append(other)
    return found


def _named(skill: Skill) -> Iterator[str]:
    for group in skill.triads:
        yield from group
    yield from skill.depends_on
    yield from skill.enables
    for step in skill.steps:
        if isinstance(step.get("uses"), str):
            yield str(step["uses"])
