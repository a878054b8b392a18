"""What the source distribution carries."""

from __future__ import annotations

import re
from pathlib import Path

from hatchling.builders.sdist import SdistBuilder

ROOT = Path(__file__).parent.parent


def test_the_source_distribution_has_every_file_that_the_readme_and_the_guide_for_contributors_name():
    included = {file.distribution_path for file in SdistBuilder(str(ROOT)).recurse_included_files()}
    folders = {str(parent) for path in included for parent in Path(path).parents}
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md"))
    named = {word.rstrip("./") for word in re.findall(r"[\w./-]*[\w-]+[./][\w./-]+", text)}
    there = {name for name in named if (ROOT / name).exists() and not name.startswith(".venv/")}
    assert there >= {".ci/run", "requirements/constraints.txt", "docs/decisions.md", "CONTRIBUTING.md", "examples/plugin"}
    assert there - included - folders <= {"pyproject.toml"}, "that one always goes along"
    assert "CHANGELOG.md" in included
