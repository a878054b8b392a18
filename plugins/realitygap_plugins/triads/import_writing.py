"""Writes what an import decided: a folder a skill, with its manifest, its guide, and the files beside the guide."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from realitygap.guide_files import GUIDES
from realitygap_plugins.triads.collection import MANIFEST
from realitygap_plugins.triads.importing import Imported, Plan
from realitygap_plugins.triads.wild_guide import write_guide, yaml_text

MOST_FILES, MOST_BYTES = 512, 16 << 20
"""Files beside a guide that are copied with it; more than that is no skill but a repository."""


def write(plan: Plan, folder: Path) -> None:
    """Writes each skill of the plan below `folder`, and notes which files beside a guide stay behind."""
    for one in plan.skills:
        target = folder / one.name
        target.mkdir(parents=True)
        source = one.source.parent
        _copy_beside(one, source, target)
        if one.has_manifest:
            shutil.copyfile(source / MANIFEST, target / MANIFEST)
            shutil.copyfile(one.source, target / GUIDES[0])
            continue
        (target / MANIFEST).write_text(manifest_text(one.manifest()), "utf-8")
        # As bytes, so that lines end as they did.
        (target / GUIDES[0]).write_bytes(write_guide(one.guide, one.frontmatter).encode("utf-8", "replace"))


def manifest_text(data: dict[str, Any]) -> str:
    """A manifest as YAML: a key a line, lists and mappings in braces."""
    return "".join(f"{key}: {_flow(value)}\n" for key, value in data.items())


def _flow(value: Any) -> str:
    if isinstance(value, str):
        return yaml_text(value)
    return json.dumps(value, ensure_ascii=False)


def _copy_beside(one: Imported, source: Path, target: Path) -> None:
    """Copies what lies beside a guide; links and the folders of other skills are left behind."""
    files, size, links = [], 0, 0
    for path in _beside(source):
        if path.is_symlink():
            links += 1
            continue
        files.append(path)
        size += path.stat().st_size
        if len(files) > MOST_FILES or size > MOST_BYTES:
            one.notes.append(f"the files beside its guide are not copied: more than {MOST_FILES}, or than {MOST_BYTES >> 20} MiB")
            return
    if links:
        one.notes.append(f"{links} {'link' if links == 1 else 'links'} beside its guide {'is' if links == 1 else 'are'} not copied")
    for path in files:
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)


def _beside(source: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(source, followlinks=False):
        place = Path(folder)
        inner = sorted(one for one in folders if not one.startswith(".") and one not in ("__pycache__", "node_modules"))
        folders[:] = [one for one in inner if not any((place / one / name).exists() for name in (MANIFEST, *GUIDES))]
        yield from (place / one for one in folders if (place / one).is_symlink())
        for name in sorted(names):
            path = place / name
            if name.startswith(".") or (place == source and name in (MANIFEST, *GUIDES)):
                continue
            if path.is_symlink() or path.is_file():
                yield path
