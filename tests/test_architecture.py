"""docs/architecture.md names every module where it belongs, and what holds for the source of all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("registry/realitygap", "core/realitygap_core", "plugins/realitygap_plugins", "server/realitygap_server")


def rows(package: str) -> list[tuple[str, str]]:
    """First cell and the rest of each row of the table of modules, which comes first in the package's section."""
    document = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## {re.escape(package)}:.*?\n(.*?)(?=^###? |\Z)", document, re.MULTILINE | re.DOTALL)
    return re.findall(r"^\| (`.*?) \|(.*)$", section, re.MULTILINE)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_is_named_in_the_table_of_its_package(package: str) -> None:
    table = rows(package)
    modules = {name for first, _ in table for name in re.findall(r"`([\w/]+)`", first)}
    folders = {first.strip("`/"): set(re.findall(r"\w+", text)) for first, text in table if first.endswith("/`")}
    missing = []
    for path in sorted((ROOT / package).rglob("*.py")):
        *parents, name = path.relative_to(ROOT / package).with_suffix("").parts
        if name in ("__init__", "__main__"):
            continue
        if name not in (folders.get(parents[0], set()) if parents else modules):
            missing.append("/".join([*parents, name]))
    assert not missing, (
        f"docs/architecture.md, section '{package}', does not name {', '.join(missing)}: "
        "give a module a row, and one in a folder its name in the row of that folder"
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_that_a_table_names_exists(package: str) -> None:
    named = [name for first, _ in rows(package) for name in re.findall(r"`([\w/]+)`", first)]
    gone = [name for name in named if not (ROOT / package / name).is_dir() and not (ROOT / package / f"{name}.py").is_file()]
    assert not gone, f"docs/architecture.md, section '{package}', names {', '.join(gone)}, which do not exist"


def test_no_process_that_is_started_looks_for_modules_in_the_current_folder() -> None:
    # With -m or -c Python takes modules from there before its own, unless it is told -P.
    unsafe = re.compile(r"\[\s*sys\.executable,\s*\"-[mc]\"")
    found = [str(path) for package in PACKAGES for path in (ROOT / package).rglob("*.py") if unsafe.search(path.read_text("utf-8"))]
    assert not found, f"{', '.join(found)}: give Python the option -P"
