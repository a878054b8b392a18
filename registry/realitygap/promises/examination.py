"""A plugin under examination: what `skills check` finds, and what its examples do.

Manifests are read in this process; everything that imports the plugin happens in child processes (`probe`). One runs every example twice.
Another, in which sets have another order, runs those of skills with code of their own once more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from realitygap.check import check_paths
from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap.findings import Finding
from realitygap.plugin_record import PluginRecord
from realitygap.promises.isolation import isolated, variables
from realitygap.skill import Skill
from realitygap.workspace import read_object


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was seen when the plugin was imported and its examples ran."""

    contract: tuple[str, ...]
    """Where its code and plugin.yaml disagree."""
    attempts: Mapping[tuple[str, int], Sequence[Mapping[str, Any]]]
    """Skill and number of the example to each time it ran: `error`, else `outputs` and `artifacts`; `written` and `left` elsewhere."""


class Examination:
    """One plugin, seen in an environment that has no other third party's plugins."""

    def __init__(
        self,
        plugin: str,
        folder: Path,
        *,
        beside: Collection[str] = (),
        allow: Collection[str] = (),
        without_example: Collection[str] = (),
        timeout_s: float = 600.0,
    ) -> None:
        """Raises `InputError` where no plugin of that name is installed, or where it cannot be used.

        Args:
            folder: an empty folder for runs and caches.
            beside: other plugins that it needs.
            allow: codes of rules whose findings are accepted.
            without_example: skills that need none.
        """
        self.plugins = (plugin, *beside)
        self.folder = folder
        self.allow = frozenset(allow)
        self.without_example = frozenset(without_example)
        self.timeout_s = timeout_s
        self._failed: InputError | None = None
        with isolated(folder, self.plugins):
            self.registry = Registry.discover()
        self.record = self._record(plugin)
        self.skills = [
            one for one in self.registry.every_skill if one.plugin == self.record.name and one.distribution == self.record.distribution
        ]

    def _record(self, plugin: str) -> PluginRecord:
        installed = [record for record in self.registry.plugins.values() if record.name == plugin]
        if not installed:
            others = ", ".join(sorted(record.name for record in self.registry.plugins.values() if not record.builtin)) or "none"
            raise InputError(
                f"no plugin '{plugin}' is installed in {sys.prefix}",
                hint=f"`pip install -e .` in the plugin's folder installs it; plugins of third parties that are: {others}",
            )
        if installed[0].state == "error":
            raise InputError(f"{installed[0].label}: {installed[0].error}")
        return installed[0]

    @cached_property
    def findings(self) -> list[Finding]:
        """Of `skills check` on the plugin's folder."""
        if self.record.directory is None:
            return []
        with isolated(self.folder, self.plugins):
            found = check_paths([self.record.directory], self.registry).findings
        return [one for one in found if one.rule not in self.allow]

    @cached_property
    def report(self) -> Report:
        """What the child processes say. Raises `InputError` where one does not come to its end, each time it is asked."""
        if self._failed is None:
            try:
                return self._run()
            except InputError as error:
                self._failed = error
        raise self._failed

    def _run(self) -> Report:
        usable = [one for one in self.skills if one.name not in self.unusable]
        first = self._probe("1", usable, times=2)
        attempts = list(first["attempts"])
        if own := [one for one in usable if one.examples and one.cache and not one.is_pipeline]:
            attempts += self._probe("2", own, times=1)["attempts"]
        by_example: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for attempt in attempts:
            by_example.setdefault((attempt["skill"], attempt["number"]), []).append(attempt)
        return Report(contract=tuple(first["contract"]), attempts=by_example)

    @property
    def unusable(self) -> dict[str, str]:
        """Skills that cannot run here, and the extra that they need."""
        missing = {one.name: self._missing(one) for one in self.skills}
        return {name: extra for name, extra in missing.items() if extra}

    def _missing(self, skill: Skill) -> str | None:
        used = [skill.name, *(str(step.get("uses")) for step in skill.steps)]
        return next((extra for name in used if (extra := self.registry.missing_extra(self.registry.skill(name)))), None)

    def _probe(self, seed: str, skills: Sequence[Skill], *, times: int) -> dict[str, Any]:
        root = self.folder / f"probe-{seed}"
        places = {name: root / name for name in ("user", "tmp", "cache", "matplotlib")}
        for place in places.values():
            place.mkdir(parents=True)
        environment = variables(root, self.plugins, dict(os.environ)) | {
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": os.pathsep.join(os.path.abspath(one) for one in sys.path if one),
            "HOME": str(places["user"]),
            "TMPDIR": str(places["tmp"]),
            "XDG_CACHE_HOME": str(places["cache"]),
            "MPLCONFIGDIR": str(places["matplotlib"]),
        }
        names = [one.name for one in skills]
        command = [sys.executable, "-P", "-m", "realitygap.promises.probe", self.record.name, str(root), str(times), *names]
        process = subprocess.Popen(
            command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            said, _ = process.communicate(timeout=self.timeout_s)
        except subprocess.TimeoutExpired:
            raise InputError(f"the examples did not end in {self.timeout_s:g} s", hint="choose quicker ones, or set `timeout_s`") from None
        finally:
            process.kill()
            process.wait()
        report = read_object(root / "report.json")
        if not report:
            raise InputError(f"the process that runs the examples ended with {process.returncode}:\n{said[-3000:]}")
        return report
