"""Writes a package from the templates: all of it, or nothing."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from realitygap import API_VERSION
from realitygap.errors import InputError
from realitygap.scaffold.names import Names

TEMPLATES = Path(__file__).parent / "templates"
_TOKEN = re.compile(r"@@([a-z]+)@@")
_HOOK = {"plugin.py": "the hook that registers it"}
_FILES: dict[str, dict[str, str]] = {
    "skill": {"skill.py": "the skill: a plain function of its inputs", "data/": "the log of its example"},
    "observation": {"terms.py": "the observation", **_HOOK, "tasks/": "a task that names it"},
    "reward": {"terms.py": "the reward", **_HOOK, "tasks/": "a task that names it"},
    "divergence": {"divergence.py": "the divergence", **_HOOK},
    "check": {"rules.py": "the rules", "rules.yaml": "what is said of them", **_HOOK, "skill.py": "the same as a skill"},
    "pipeline": {},
}
"""What a kind has beside the rest, as the README lists it."""

EXAMPLE_INPUTS = {
    "skill": "log={skill}-example",
    "observation": "task={skill}",
    "reward": "task={skill}",
    "divergence": "sim=qube -i real=qube",
}
"""What a first run is given, where the skill needs something."""


def render(names: Names, version: str) -> dict[str, str]:
    """Relative path to text of every file of the package, for this version of realitygap."""
    words = _words(names, version)
    files: dict[str, str] = {}
    for folder in (TEMPLATES / "common", TEMPLATES / names.kind):
        for template in sorted(folder.rglob("*.tmpl")):
            relative = template.relative_to(folder).as_posix().removesuffix(".tmpl")
            path = re.sub(r"(^|/)dot_", r"\1.", relative).replace("PACKAGE", names.package).replace("SKILL/", f"{names.skill}/")
            path = re.sub(r"SKILL\.yaml$", f"{names.skill}.yaml", path)
            files[path] = _TOKEN.sub(lambda match: words[match[1]], template.read_text("utf-8"))
    return files


def write(names: Names, parent: Path, version: str) -> Path:
    """Writes the package into a new folder below `parent`, called like the distribution; the folder.

    Raises InputError where something of that name is there already, or the place cannot be written.
    """
    target = parent / names.distribution
    if os.path.lexists(target) and not (target.is_dir() and not target.is_symlink() and not any(target.iterdir())):
        raise InputError("it is there already, and nothing is overwritten", where=str(target), hint="choose another name or --directory")
    files = render(names, version)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{names.distribution}-", dir=parent))
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(parent)) from None
    try:
        for name, text in files.items():
            path = draft / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        draft.chmod(0o777 & ~_umask())
        # Fails where a folder that is not empty has appeared meanwhile.
        draft.rename(target)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(target)) from None
    finally:
        # Gone where all went well.
        shutil.rmtree(draft, ignore_errors=True)
    return target


def first_run(names: Names) -> str:
    """The arguments of `skills run` for a first run."""
    given = EXAMPLE_INPUTS.get(names.kind)
    return f"{names.skill} -i {given.format(skill=names.skill)}" if given else names.skill


def _words(names: Names, version: str) -> dict[str, str]:
    """Token to text."""
    allowed = _range(version)
    tools = ["build", "hatchling", "mypy", "pytest>=8", "ruff"]
    if names.needs_sim:
        tools.append(f"{names.distribution}[sim]")
    extras = f'sim = ["realitygap[sim]{allowed}"]\n' if names.needs_sim else ""
    quoted = ", ".join(f'"{one}"' for one in tools)
    rows = "".join(f"| `src/{names.package}/{path}` | {text} |\n" for path, text in _FILES[names.kind].items())
    return {
        "api": str(API_VERSION),
        "component": names.component,
        "distribution": names.distribution,
        "extras": extras + f"dev = [{quoted}]",
        "files": rows,
        "kind": names.kind,
        "package": names.package,
        "plugin": names.component,
        "prefix": names.prefix,
        "range": allowed,
        "run": first_run(names),
        "skill": names.skill,
        "summary": names.summary,
        "title": names.title,
    }


def _range(version: str) -> str:
    """Versions of realitygap that the package is for: `>=0.1,<0.2` before 1.0, then up to the next major one."""
    major, minor = (int(part) for part in [*re.findall(r"\d+", version), "0", "0"][:2])
    return f">={major}.{minor},<0.{minor + 1}" if major == 0 else f">={major}.{minor},<{major + 1}"


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current
