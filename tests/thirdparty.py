"""Distributions of third parties, made as folders on the search path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SKILL = """\
schema: 1
name: {name}
version: 0.1.0
trit: 0
summary: Does it.
entry: {package}.skill:run
cache: false
inputs: {{}}
outputs: {{summary: {{type: string}}}}
"""


def distribution(site: Path, name: str, *, plugin: str = "", files: Mapping[str, str] | None = None, skills: tuple[str, ...] = ()) -> Path:
    """Puts the distribution `name` 0.3 with one plugin into a folder; the package and the plugin have its name with `_`.

    Args:
        plugin: lines of plugin.yaml after `schema` and `name`; `api: 1` where they say none.
        files: path in the package to text.
        skills: skills, which the function `run` of the module `skill` implements.
    """
    package = name.replace("-", "_")
    folder = site / package
    folder.mkdir(parents=True)
    plugin = plugin if "api:" in plugin else f"api: 1\n{plugin}"
    texts = {"__init__.py": "", "plugin.yaml": f"schema: 1\nname: {package}\n{plugin}\n", **(files or {})}
    texts |= {f"skills/{one}/skill.yaml": SKILL.format(name=one, package=package) for one in skills}
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    metadata = site / f"{package}-0.3.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.3\n")
    (metadata / "entry_points.txt").write_text(f"[realitygap]\n{package} = {package}\n")
    return folder
