"""An environment in which only chosen plugins exist, and nothing that is the user's is read or written."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "REALITYGAP_"
_KEPT = ("REALITYGAP_DEBUG",)


def variables(folder: Path, plugins: Collection[str] | None, given: dict[str, str]) -> dict[str, str]:
    """`given` with every setting of realitygap replaced: the plugins (None for all), and folders for runs and caches below `folder`."""
    kept = {name: value for name, value in given.items() if not name.startswith(_PREFIX) or name in _KEPT}
    chosen = {} if plugins is None else {"REALITYGAP_PLUGINS": ",".join(plugins)}
    return {**kept, **chosen, "REALITYGAP_HOME": str(folder / "home"), "REALITYGAP_CACHE": str(folder / "cache")}


@contextmanager
def isolated(folder: Path, plugins: Collection[str] | None = ()) -> Iterator[None]:
    """Within it `Registry.discover()`, here and in child processes, finds what comes with realitygap and the named plugins only."""
    before = {name: value for name, value in os.environ.items() if name.startswith(_PREFIX)}
    after = {name: value for name, value in variables(folder, plugins, dict(os.environ)).items() if name.startswith(_PREFIX)}
    _replace(after)
    try:
        yield
    finally:
        _replace(before)


def _replace(settings: dict[str, str]) -> None:
    for name in [one for one in os.environ if one.startswith(_PREFIX)]:
        del os.environ[name]
    os.environ.update(settings)
