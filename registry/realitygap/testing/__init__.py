"""For the tests of plugins: fixtures, and a contract test that is ready to use.

In `tests/conftest.py`, which is all that switches it on:

    pytest_plugins = ["realitygap.testing"]

    @pytest.fixture(scope="session")
    def realitygap_plugins():
        return ("joint_speed",)                # the plugin under test: the name of its entry point

In a test:

    def test_two_samples_are_missing(run_skill):
        assert run_skill("count-dropouts", {"log": "walk.csv"}).outputs["lost"] == 2

    class TestContract(PluginContract):        # from realitygap.testing import PluginContract
        plugin = "joint_speed"

From then on the tests see what comes with realitygap and the plugins that `realitygap_plugins` names, and nothing else that is installed;
runs and caches lie in temporary folders. `None` in place of names is everything installed.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from realitygap.promises.isolation import isolated
from realitygap.testing.contract import PluginContract

if TYPE_CHECKING:
    from realitygap.discovery import Registry
    from realitygap.promises.running import SkillResult

__all__ = ["PluginContract", "RunSkill", "isolated_registry", "realitygap_isolation", "realitygap_plugins", "run_skill", "workspace"]


class RunSkill(Protocol):
    """What the fixture `run_skill` gives."""

    def __call__(self, name: str, inputs: Mapping[str, Any] | None = None, *, seed: int = 0) -> SkillResult:
        """Runs a skill or a pipeline in this process.

        Inputs are checked, completed and resolved as for a run, relative paths by the working directory, and outputs are checked by the
        manifest. Raises `InputError` for inputs that are wrong; what the skill raises passes.
        """


@pytest.fixture(scope="session")
def realitygap_plugins() -> Collection[str] | None:
    """Plugins or distributions that the tests see beside what comes with realitygap; None for all. Override it in `conftest.py`."""
    return ()


@pytest.fixture(scope="session", autouse=True)
def realitygap_isolation(realitygap_plugins: Collection[str] | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps the plugins, runs and settings of this machine's user away from all tests, and from the processes that they start."""
    with isolated(tmp_path_factory.mktemp("realitygap"), realitygap_plugins):
        yield


@pytest.fixture
def isolated_registry(realitygap_isolation: None) -> Registry:
    """A fresh registry of what `realitygap_plugins` admits."""
    from realitygap.discovery import Registry

    return Registry.discover()


@pytest.fixture
def workspace(realitygap_isolation: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the working directory, with runs of its own in `.skills`."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    monkeypatch.setenv("REALITYGAP_HOME", str(folder / ".skills"))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run_skill(isolated_registry: Registry, tmp_path: Path) -> RunSkill:
    """Runs skills by name, as often as asked, each time in a folder of its own."""
    from realitygap.promises import running

    def run(name: str, inputs: Mapping[str, Any] | None = None, *, seed: int = 0) -> SkillResult:
        parent = tmp_path / "runs"
        parent.mkdir(exist_ok=True)
        return running.run_skill(name, inputs, registry=isolated_registry, folder=parent / str(len(os.listdir(parent))), seed=seed)

    return run
