"""The skills around a trained policy: evaluate, export, simulate; and the list of components."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from realitygap.context import RunContext
from realitygap.errors import InputError
from realitygap.report_parts import figure
from realitygap_core import robots
from realitygap_core.policy import Policy
from realitygap_core.ppo.update import PPOConfig, init_learner
from realitygap_core.recording import Recording
from realitygap_core.task import compile_task
from realitygap_plugins.ksim.listing import list_components
from realitygap_plugins.ksim.rollout import simulate
from realitygap_plugins.transfer.evaluate import evaluate_policy
from realitygap_plugins.transfer.export import export_policy

MODEL = str(robots.model_path("cartpole"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained policy of a short task."""
    run = RunContext(folder=tmp_path_factory.mktemp("bundle"))
    spec = run.document(str(robots.task_path("cartpole-balance")), "task").data | {"episode_s": 1}
    spec["success"] = spec["success"] | {"hold_s": 0.5}
    task = compile_task(spec, run.catalog)
    policy = Policy.from_learner(init_learner(PPOConfig(), {"policy": 5, "critic": 5}, 1, 0), task)
    return str(policy.save(run.artifact("policy"), task_spec=spec, robot=task.nominal))


@pytest.fixture
def domain(tmp_path: Path) -> str:
    path = tmp_path / "domain.yaml"
    parameters = {"mass[pole]": {"distribution": "uniform", "low": 0.05, "high": 0.4}}
    path.write_text(yaml.safe_dump({"schema": 1, "parameters": parameters}))
    return str(path)


def test_an_evaluation_counts_rewards_and_trials_and_shows_a_film_in_the_report(bundle: str, domain: str, tmp_path: Path) -> None:
    run = RunContext(folder=tmp_path / "run", seed=1)
    out = evaluate_policy({"policy": bundle, "domain": domain, "trials": 12}, run)
    rows = Path(out["records"]).read_text().splitlines()
    assert len(rows) == 13
    returns = [float(row.split(",")[rows[0].split(",").index("return")]) for row in rows[1:]]
    # The middle half of twelve: six values.
    assert out["return_iqm"] == pytest.approx(np.mean(sorted(returns)[3:9]))
    assert out["return_interval"][0] <= out["return_iqm"] <= out["return_interval"][1]
    assert out["return_worst"] == pytest.approx(min(returns))
    assert sum(out["rewards"].values()) == pytest.approx(np.mean(returns), rel=1e-4)
    assert [row["parameter"] for row in out["sensitivity"]] == ["mass[pole]"]
    assert out["robot_differences"] == []
    assert json.dumps(out)
    assert "figures/first-trial.gif" in run.figures
    assert 'src="data:image/gif;base64,R0lGOD' in figure(tmp_path / "run" / "artifacts", "figures/first-trial.gif")


def test_another_robot_is_named_when_a_policy_is_evaluated_on_it(bundle: str, tmp_path: Path) -> None:
    heavy = tmp_path / "heavy.xml"
    heavy.write_text(Path(MODEL).read_text().replace('mass="0.1"', 'mass="0.2"'))
    run = RunContext(folder=tmp_path / "run")
    out = evaluate_policy({"policy": bundle, "model": str(heavy), "trials": 4, "film": False}, run)
    assert "mass[pole] is 0.2 instead of 0.1" in out["robot_differences"]
    assert any("mass[pole]" in warning for warning in run.warnings)
    assert "film" not in out


def test_an_export_is_a_file_that_was_run_and_found_to_agree(bundle: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    out = export_policy({"policy": bundle}, RunContext(folder=tmp_path))
    assert out["verified"]
    assert out["largest_difference"] < 1e-5
    assert out["inputs"] == {"observation": 5}
    assert yaml.safe_load(Path(out["contract"]).read_text()) == Policy.load(bundle).contract
    assert Path(out["onnx"]).stat().st_size == out["bytes"]


def test_a_policy_and_a_waveform_and_a_log_become_recordings(bundle: str, tmp_path: Path) -> None:
    closed = simulate({"policy": bundle, "logs": 2, "film": False}, RunContext(folder=tmp_path / "a"))
    recording = Recording.open(closed["recording"])
    assert (closed["logs"], closed["seconds"], len(closed["returns"])) == (2, 1.0, 2)
    assert recording.channel("command_force").unit == "N"
    wave = {"force": {"shape": "sine", "amplitude": 0.3, "hz": 1}}
    opened = simulate({"waveform": wave, "model": MODEL, "seconds": 1, "film": False}, RunContext(folder=tmp_path / "b"))
    played = simulate({"commands": opened["recording"], "model": MODEL, "film": False}, RunContext(folder=tmp_path / "c"))
    one, two = (Recording.open(out["recording"]).log("episode-000") for out in (opened, played))
    np.testing.assert_allclose(two.channel("angle")[1], one.channel("angle")[1], atol=1e-9)
    assert one.meta["open_loop"] is True


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({}, "give one of"),
        ({"policy": "x", "waveform": {}}, "policy and waveform"),
        ({"waveform": {"force": {}}}, "need a robot"),
        ({"waveform": {}, "model": MODEL}, "a waveform is an object"),
    ],
)
def test_what_is_missing_or_too_much_is_told(inputs: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=told):
        simulate(inputs, RunContext(folder=tmp_path))


def test_components_are_listed_by_kind_with_parameters_and_a_wrong_kind_gets_the_nearest(tmp_path: Path) -> None:
    run = RunContext(folder=tmp_path)
    out = list_components({"kind": "noise", "search": "GAUSS"}, run)
    (row,) = out["components"]
    assert (row["kind"], row["name"], row["plugin"], row["available"]) == ("noise", "gaussian", "ksim", True)
    assert row["parameters"]["std"].startswith("number, default 0")
    first, second, *parameters = out["summary"].splitlines()
    assert (first, second) == ("1 component: 1 noise", "gaussian  Gaussian noise, and a bias drawn once an episode.")
    assert parameters[0] == "  std: number, default 0.0: Standard deviation, in the unit of the observation."
    everything = list_components({}, run)
    assert "give `kind`" in everything["summary"]
    assert sum(everything["kinds"].values()) == len(everything["components"])
    with pytest.raises(InputError, match="rewrd") as error:
        list_components({"kind": "rewrd"}, run)
    assert "reward" in str(error.value.hint)
    with pytest.raises(InputError, match="no component matches"):
        list_components({"search": "xyzzy"}, run)
