"""The contract test for plugins: a generated plugin keeps every promise, and one made to break just one of them is found out.

Plugins are generated, changed, and made importable as folders on the search path.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap.plugin_record import PluginRecord
from realitygap.promises import kept, units
from realitygap.promises.examination import Examination
from realitygap.promises.isolation import isolated
from realitygap.scaffold.names import Names
from realitygap.scaffold.write import render

READING = ("schema", "guide", "triads", "rules", "honest_units")
RUNNING = ("entry", "examples", "determinism", "no_writes_outside")
Change = tuple[str, str, str]
"""File, what stands there, and what replaces it."""

Install = Callable[..., str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Makes a generated package importable, with changes; gives the name of the plugin."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    before = set(sys.modules)

    def make(name: str, *changes: Change, kind: str = "skill", metadata: str = "") -> str:
        names = Names(name=name, kind=kind)
        texts = {path.removeprefix("src/"): text for path, text in render(names, "0.1.0").items() if path.startswith("src/")}
        for end, old, new in changes:
            (path,) = (one for one in texts if one.endswith(end))
            assert old in texts[path], f"{path} holds no {old!r}"
            texts[path] = texts[path].replace(old, new)
        info = f"{names.package}-0.1.0.dist-info"
        texts[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {names.distribution}\nVersion: 0.1.0\n{metadata}"
        texts[f"{info}/entry_points.txt"] = f"[realitygap]\n{names.component} = {names.package}\n"
        for path, text in texts.items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(text)
        return names.component

    yield make
    for module in set(sys.modules) - before:
        if module.startswith("realitygap_"):
            del sys.modules[module]


def broken(plugin: str, folder: Path, promises: tuple[str, ...] = READING + RUNNING, **options: object) -> dict[str, list[str]]:
    """Promise to what is wrong, where something is."""
    one = Examination(plugin, folder, **options)  # type: ignore[arg-type]
    found = {promise: list(getattr(kept, promise)(one)) for promise in promises}
    return {promise: lines for promise, lines in found.items() if lines}


def test_a_generated_skill_and_a_generated_check_keep_every_promise(install: Install, tmp_path: Path) -> None:
    for kind in ("skill", "check"):
        assert broken(install(f"whole-{kind}", kind=kind), tmp_path / kind) == {}


UNKNOWN_KEY = ("skill.yaml", "runtime: quick", "runtime: quick\nspeed: high")
OTHER_TRIT = ("SKILL.md", 'trit: "-1"', 'trit: "0"')
UNBALANCED = ("skill.yaml", ", import-recording, train-policy]", ", import-recording, adapt-domain]")
UNDESCRIBED = ("skill.yaml", ", description: Skills that were looked at.", "")
NO_UNIT = ("skill.yaml", "period: {type: number, x-unit: s,", "period: {type: number,")
UNKNOWN_UNIT = ("skill.yaml", "period: {type: number, x-unit: s,", "period: {type: number, x-unit: sek,")


@pytest.mark.parametrize(
    ("kind", "change", "promise", "told"),
    [
        ("skill", UNKNOWN_KEY, "schema", "RG102 unknown key 'speed'"),
        ("skill", OTHER_TRIT, "guide", "trit '0', but skill.yaml says -1"),
        ("skill", UNBALANCED, "triads", "the group sums to -1, not 0, modulo 3"),
        ("check", UNDESCRIBED, "rules", "BROKENRU101 output 'checked' says nothing of what it is"),
        ("skill", NO_UNIT, "honest_units", "output 'period' is a number without a unit"),
        ("skill", UNKNOWN_UNIT, "honest_units", "'sek' is no unit"),
    ],
)
def test_a_manifest_that_breaks_one_promise_breaks_no_other(
    install: Install, tmp_path: Path, kind: str, change: Change, promise: str, told: str
) -> None:
    found = broken(install(f"broken-{promise.replace('_', '-')}", change, kind=kind), tmp_path / "examined", READING)
    assert list(found) == [promise]
    assert told in "\n".join(found[promise])


UNDECLARED = ("plugin.py", '", outputs_are_described)', 'X", outputs_are_described)')
EXPECTS_ANOTHER = ("skill.yaml", "jitter: 0.5", "jitter: 0.25")
NO_EXAMPLE = ("skill.yaml", "examples:\n  - title:", "references:\n  - title:")
ORDER_OF_A_SET = ("skill.py", '"summary": f"', '"summary": "-".join({"alpha", "beta", "gamma", "delta", "epsilon"}) + f"')
THE_CLOCK = ("skill.py", '"samples": len(times),', '"samples": __import__("time").time_ns(),')
BESIDE_ITS_INPUT = ("skill.py", "    period = median", '    open(inputs["log"] + ".seen", "w").close()\n    period = median')
BEHIND_PYTHON = ("skill.py", "    period = median", '    __import__("os").system("touch $HOME/.seen")\n    period = median')
SAYS_NONE = ("skill.yaml", "effects: run", "effects: none")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "change", "promise", "told"),
    [
        ("check", UNDECLARED, "entry", "which realitygap_register_checks does not register"),
        ("skill", EXPECTS_ANOTHER, "examples", "output 'jitter' is 0.5, not 0.25"),
        ("skill", ORDER_OF_A_SET, "determinism", "output 'summary' differs between runs with the same seed"),
        ("skill", THE_CLOCK, "determinism", "output 'samples' differs between runs with the same seed"),
        ("skill", BESIDE_ITS_INPUT, "no_writes_outside", "example.csv.seen, outside of its run"),
        ("skill", BEHIND_PYTHON, "no_writes_outside", "/user/.seen, outside of its run"),
        ("skill", SAYS_NONE, "no_writes_outside", "artifacts/steps.csv, and skill.yaml says `effects: none`"),
    ],
    ids=["undeclared", "expects-another", "order-of-a-set", "the-clock", "beside-its-input", "behind-python", "says-none"],
)
def test_code_that_breaks_one_promise_breaks_no_other(
    install: Install, tmp_path: Path, kind: str, change: Change, promise: str, told: str
) -> None:
    found = broken(install(f"broken-{promise.replace('_', '-')}", change, kind=kind), tmp_path / "examined")
    if change is THE_CLOCK:
        # What an example expects does not come out either.
        assert found.pop("examples")
    assert list(found) == [promise]
    assert told in "\n".join(found[promise])


def test_a_skill_without_an_example_is_named_unless_that_is_said(install: Install, tmp_path: Path) -> None:
    plugin = install("unproven", ("skill.yaml", "examples:\n  - title: Steps", "references: [a]\nx-rest:\n  - title: Steps"))
    one = Examination(plugin, tmp_path / "a")
    assert any("unproven has no example" in line for line in kept.examples(one))
    allowed = Examination(plugin, tmp_path / "b", without_example=["unproven"], allow=["RG102"])
    assert list(kept.examples(allowed)) == []
    assert list(kept.schema(allowed)) == []


def test_an_example_whose_extra_is_missing_is_not_run_and_is_told_as_such(install: Install, tmp_path: Path) -> None:
    extra = "Provides-Extra: gpu\nRequires-Dist: no-such-distribution; extra == 'gpu'\n"
    plugin = install("starved", ("skill.yaml", "runtime: quick", "runtime: quick\nextras: [gpu]"), metadata=extra)
    one = Examination(plugin, tmp_path / "examined")
    assert one.unusable == {"starved": "gpu"}
    assert list(kept.examples(one)) == list(kept.schema(one)) == []
    assert one.report.attempts == {}


def test_a_plugin_that_ends_the_process_or_never_ends_is_told_as_such(install: Install, tmp_path: Path) -> None:
    exits = install("exits", ("skill.py", "    period = median", '    __import__("os")._exit(7)\n    period = median'))
    with pytest.raises(InputError, match="ended with 7"):
        list(kept.examples(Examination(exits, tmp_path / "a")))
    hangs = install("hangs", ("skill.py", "    period = median", "    while True: pass\n    period = median"))
    with pytest.raises(InputError, match="did not end in 2 s"):
        list(kept.examples(Examination(hangs, tmp_path / "b", timeout_s=2)))


def test_a_plugin_that_is_not_installed_is_told_with_what_is(install: Install, tmp_path: Path) -> None:
    install("present")
    with pytest.raises(InputError, match="no plugin 'absent' is installed") as caught:
        Examination("absent", tmp_path)
    assert "pip install -e ." in (caught.value.hint or "")


CONFTEST = """\
import pytest
pytest_plugins = ["realitygap.testing"]

@pytest.fixture(scope="session")
def realitygap_plugins():
    return ("asked",)
"""
TESTS = """\
import os, pathlib, subprocess, sys
import pytest
from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap.testing import PluginContract

def seen(registry):
    return {record.name for record in registry.active_plugins if not record.builtin}

def test_only_what_was_asked_for_is_seen(isolated_registry):
    assert seen(isolated_registry) == {"asked"}
    assert seen(Registry.discover()) == {"asked"}

def test_and_by_child_processes_too():
    listed = subprocess.run([sys.executable, "-m", "realitygap.cli", "list"], capture_output=True, text=True, check=True).stdout
    assert {name for name in ("asked", "stranger") if name in listed} == {"asked"}

def test_a_skill_runs_in_a_workspace_of_its_own(run_skill, workspace):
    assert pathlib.Path.cwd() == workspace
    assert list(workspace.iterdir()) == []
    (workspace / "walk.csv").write_text("t\\n0\\n1\\n2\\n")
    first, second = run_skill("asked", {"log": "walk.csv"}), run_skill("asked", {"log": "walk.csv"}, seed=3)
    assert first.outputs["period"] == second.outputs["period"] == 1.0
    assert first.outputs["steps"] != second.outputs["steps"]
    assert (first.artifacts / "steps.csv").is_file()
    assert [path.name for path in workspace.iterdir()] == ["walk.csv"]
    with pytest.raises(InputError, match="no such file"):
        run_skill("asked", {"log": "wlak.csv"})

class TestContract(PluginContract):
    plugin = "asked"
"""


@pytest.mark.slow
def test_the_fixtures_show_the_plugins_that_were_asked_for_and_no_other(install: Install, tmp_path: Path) -> None:
    install("asked")
    install("stranger")
    project = tmp_path / "project"
    project.mkdir()
    (project / "conftest.py").write_text(CONFTEST)
    (project / "test_it.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site"), "REALITYGAP_STRICT_PLUGINS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # Three, and the nine promises.
    assert "12 passed" in done.stdout


def test_isolation_hides_by_default_shows_what_is_asked_for_and_gives_the_settings_back(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {install("asked"), install("stranger")}
    monkeypatch.setenv("REALITYGAP_DISABLE_PLUGINS", "asked")
    before = dict(os.environ)
    for plugins, expected in (((), set()), (["asked"], {"asked"}), (["realitygap-stranger"], {"stranger"}), (None, names)):
        with isolated(tmp_path / "home", plugins):
            assert {record.name for record in Registry.discover().active_plugins} & names == expected
        assert dict(os.environ) == before


def test_nothing_is_a_pytest_plugin_unless_asked_and_importing_it_is_light() -> None:
    assert not [one for one in entry_points(group="pytest11") if "realitygap" in one.value]
    heavy = {"yaml", "jsonschema", "jsonschema_rs", "click", "pluggy", "numpy", "jax", "mujoco"}
    code = f"import realitygap.testing, sys; print(sorted({heavy!r} & set(sys.modules) - before))"
    # pytest brings pluggy itself.
    code = f"import sys, pytest; before = set(sys.modules); {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


# Units


@pytest.mark.parametrize("unit", ["1", "s", "rad/s", "rad/s^2", "N m", "kg m^2", "1/s", "mN m", "m^-1", "pooled standard deviations"])
def test_a_unit_in_use_is_known(unit: str) -> None:
    assert units.parse(unit) is None


@pytest.mark.parametrize(
    ("unit", "told"), [("sek", "'sek' is no unit"), ("radd", "did you mean 'rad'"), ("m^x", "'x' is no power"), ("", "'' is no unit")]
)
def test_a_unit_that_nobody_knows_is_told(unit: str, told: str) -> None:
    assert told in (units.parse(unit) or "")


@given(
    st.lists(st.tuples(st.sampled_from(sorted(units.KNOWN - {"pooled standard deviations"})), st.integers(-4, 4)), min_size=1, max_size=4)
)
def test_every_product_of_powers_of_known_symbols_is_a_unit(factors: list[tuple[str, int]]) -> None:
    for sign in (" ", "/", "*"):
        assert units.parse(sign.join(symbol if power == 1 else f"{symbol}^{power}" for symbol, power in factors)) is None


@given(st.text(max_size=20))
def test_any_text_is_judged_without_an_exception(text: str) -> None:
    assert units.parse(text) is None or "no" in str(units.parse(text))


@pytest.mark.parametrize(
    ("name", "schema", "told"),
    [
        ("delay_ms", {"type": "number", "x-unit": "ms"}, None),
        ("delay_ms", {"type": "number", "x-unit": "s"}, "has the unit 's', and its name says ms"),
        ("speed_min", {"type": "number", "x-unit": "m/s"}, None),
        ("count", {"type": "integer"}, None),
        ("gains", {"type": "array", "items": {"type": "number"}}, "is a number without a unit"),
        ("gains", {"type": "array", "items": {"type": "number"}, "x-unit": "1"}, None),
        ("limits", {"type": "object", "properties": {"low": {"type": ["number", "null"]}}}, "'limits', 'low' is a number without a unit"),
        ("limits", {"type": "object", "additionalProperties": {"anyOf": [{"type": "number"}]}, "x-unit": "rad"}, None),
    ],
)
def test_a_unit_holds_for_what_is_below_and_agrees_with_the_name(name: str, schema: dict[str, object], told: str | None) -> None:
    one = {"kind": "reward", "name": "still", "factory": "a:b", "parameters": {name: schema}}
    record = PluginRecord(name="acme", package="acme", distribution="acme-gap", version="1", builtin=False, components=(one,))
    (line,) = list(units.problems([], record)) or [None]
    assert (line is None) == (told is None)
    assert told is None or told in (line or "").replace("parameter ", "")


# What an example expects


def test_numbers_are_compared_to_six_digits_and_mappings_by_the_keys_expected() -> None:
    assert kept.matches(0.1 + 0.2, 0.3)
    assert not kept.matches(0.300001, 0.3)
    assert kept.matches({"a": [1, 2.0], "b": "x"}, {"a": [1.0, 2]})
    assert not kept.matches({"a": [1, 2]}, {"a": [1, 2, 3]})
    assert not kept.matches({}, {"a": None})
    assert not kept.matches(1, True)
    assert kept.matches(None, None)
