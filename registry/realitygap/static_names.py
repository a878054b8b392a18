"""Whether a `module:attribute` exists, read from the source, without importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from realitygap.errors import nearest
from realitygap.scan import module_file


def trouble(path: str, near: Path | None = None) -> tuple[str, str | None] | None:
    """What is wrong with `module:attribute`, and a hint; None where it exists or cannot be told without importing.

    Args:
        near: a folder inside the package that need not be installed, such as that of the manifest being checked.
    """
    module, _, attribute = path.partition(":")
    file = module_file(module) or (_beside(module, near) if near else None)
    if file is None:
        top = module.partition(".")[0]
        if module_file(top) is None and not (near and _beside(top, near)):
            return f"no package '{top}' is installed, which '{path}' names", None
        close = nearest(module, _siblings(module, near))
        return f"there is no module '{module}'", f"did you mean '{close}'?" if close else None
    if file.suffix != ".py":
        return None
    names = _names_of(file, file.stat().st_mtime_ns)
    if names is None:
        return f"{file.name} of module '{module}' is not valid Python", None
    first = attribute.partition(".")[0]
    if first in names or "*" in names:
        return None
    close = nearest(first, names)
    return f"module '{module}' has no '{first}'", f"did you mean '{close}'?" if close else None


def _beside(module: str, near: Path) -> Path | None:
    """The file of a module whose package is one of the folders around `near`."""
    top, *rest = module.split(".")
    for folder in (near.resolve(), *near.resolve().parents):
        if folder.name == top and (folder / "__init__.py").is_file():
            path = folder.joinpath(*rest)
            for candidate in (path.with_name(path.name + ".py"), path / "__init__.py"):
                if candidate.is_file():
                    return candidate
    return None


def _siblings(module: str, near: Path | None) -> list[str]:
    parent, _, _ = module.rpartition(".")
    file = module_file(parent) or (_beside(parent, near) if near and parent else None)
    if file is None or file.name != "__init__.py":
        return []
    return [f"{parent}.{one.stem}" for one in file.parent.glob("*.py") if one.stem != "__init__"] + [
        f"{parent}.{one.parent.name}" for one in file.parent.glob("*/__init__.py")
    ]


@lru_cache(maxsize=256)
def _names_of(file: Path, changed: int) -> frozenset[str] | None:
    """Names that a module binds at its top level; with `*` where it may bind others too; None where it is no Python."""
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
    return frozenset(_bound(tree.body))


def _bound(body: Iterable[ast.stmt]) -> Iterator[str]:
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                # A module with __getattr__ makes names as they are asked for.
                yield "*" if name == "__getattr__" else name
            case ast.Import(names=names):
                for alias in names:
                    yield alias.asname or alias.name.partition(".")[0]
            case ast.ImportFrom(names=names):
                for alias in names:
                    yield alias.asname or alias.name
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.For() | ast.With():
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                        yield inner.id
        for part in ("body", "orelse", "finalbody"):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from _bound(getattr(node, part, ()))
        for handler in getattr(node, "handlers", ()):
            yield from _bound(handler.body)
