"""Who may import whom: the contracts of import-linter in pyproject.toml."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_import_contracts_hold():
    code = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("registry", "core", "plugins", "server"))
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_the_registry_needs_its_own_dependencies_alone():
    import ast

    allowed = {
        *sys.stdlib_module_names,
        "click",
        "jsonschema",
        "jsonschema_rs",
        "jsonschema_specifications",
        "referencing",
        "pluggy",
        "yaml",
        "realitygap",
    }
    for file in (ROOT / "registry").rglob("*.py"):
        # Who writes tests has it; nothing else imports this folder.
        more = {"pytest"} if file.parent.name == "testing" else set()
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for name in names:
                assert name.partition(".")[0] in allowed | more, f"{file.relative_to(ROOT)}:{node.lineno} imports {name}"
