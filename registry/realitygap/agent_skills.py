"""The guides as Agent Skills: folders that an assistant reads by itself, without a server.

DIR/identify-parameters/SKILL.md      the guide, word for word
DIR/identify-parameters/skill.yaml    the contract: inputs, outputs, units
...                                   what else the skill's folder holds
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap.guides import Guide, check_guide
from realitygap.skill import Skill
from realitygap.workspace import remove_folder

MOST_FILES, MOST_BYTES = 512, 16 << 20
"""Of one skill, as clients take them."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What came of an export."""

    written: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    """Skill and why."""


def export(registry: Registry, target: Path, names: Iterable[str] = ()) -> Exported:
    """Writes the guides of the skills below `target`, of all by default; one written before is replaced.

    A skill that has no guide, or one that does not conform to the specification, is left out. Raises InputError for an unknown name, for a
    place that cannot be written, and where something else than an earlier export lies; then nothing has been written.
    """
    asked = list(dict.fromkeys(names))
    skills = {name: registry.skill(name) for name in asked} if asked else dict(sorted(registry.skills.items()))
    left_out: list[tuple[str, str]] = []
    good: list[Skill] = []
    for name, skill in skills.items():
        # A folder has the bare name of its skill: of those that share one, only who is asked for gets it.
        shared = skill.name in (one.name for one in good) or (not asked and name != skill.name)
        reason = "another skill has its name" if shared else _reason(skill)
        if reason is None:
            good.append(skill)
        else:
            left_out.append((name, reason))
    for skill in good:
        _require_ours(target / skill.name, skill)
    try:
        for skill in good:
            _write(skill, target / skill.name)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", where=str(error.filename or target)) from None
    return Exported(written=tuple(skill.name for skill in good), left_out=tuple(left_out))


def _reason(skill: Skill) -> str | None:
    """Why a guide is left out."""
    errors = [finding for finding in check_guide(skill.guide, skill) if finding.severity == "error"]
    return f"{errors[0].rule}: {errors[0].message}" if errors else None


def _require_ours(folder: Path, skill: Skill) -> None:
    if not os.path.lexists(folder):
        return
    try:
        data = Guide.load(folder / "SKILL.md").frontmatter.data
        ours = not folder.is_symlink() and isinstance(data, dict) and data.get("name") == skill.name and (folder / "skill.yaml").is_file()
    except InputError:
        ours = False
    if not ours:
        raise InputError(
            "there is something else than an earlier export", where=str(folder), hint="move it away, or export to another folder"
        )


def _write(skill: Skill, folder: Path) -> None:
    """Beside the folder first: whoever reads it finds the old or the new one."""
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    for path in _files(skill.directory):
        place = fresh / path.relative_to(skill.directory)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    if folder.exists():
        remove_folder(folder)
    fresh.rename(folder)


def _files(root: Path) -> Iterator[Path]:
    """Plain files of a skill's folder, the guide and the contract first; links, hidden files and what exceeds the limits stay out."""
    first = [root / "SKILL.md", root / "skill.yaml"]
    others = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        others += [Path(folder, name) for name in sorted(names) if not name.startswith(".")]
    size = 0
    for number, path in enumerate([*first, *(one for one in others if one not in first)]):
        if path.is_symlink() or not path.is_file():
            continue
        size += path.stat().st_size
        if number >= MOST_FILES or size > MOST_BYTES:
            return
        yield path
