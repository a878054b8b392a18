"""Training and validation as skills: a tiny task end to end, and what is refused."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from matplotlib import pyplot

from realitygap.context import RunContext
from realitygap_core.errors import CoreError
from realitygap_core.policy import Policy
from realitygap_core.ppo.guard import BREAKDOWN
from realitygap_core.ppo.update import PPOConfig
from realitygap_core.robots import model_path, task_path
from realitygap_plugins.entropy_ppo import figures
from realitygap_plugins.entropy_ppo.skill import _warn, train_policy
from realitygap_plugins.transfer import skill
from realitygap_plugins.transfer.skill import validate_transfer

TINY = {"task": str(task_path("cartpole-balance")), "env_steps": 512, "num_envs": 8, "hidden": [16], "seed": 1, "engine": "mujoco"}


def context(folder: Path) -> RunContext:
    return RunContext(folder=folder, seed=1)


def domain_file(folder: Path, parameter: str) -> str:
    path = folder / "domain.yaml"
    document = {"schema": 1, "parameters": {parameter: {"distribution": "uniform", "low": 0.05, "high": 0.2}}}
    path.write_text(yaml.safe_dump(document))
    return str(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    # Episodes of 3 s in place of 10 s: what is tested does not depend on their length.
    short = folder / "short.yaml"
    spec = yaml.safe_load(Path(str(TINY["task"])).read_text())
    short.write_text(yaml.safe_dump(spec | {"episode_s": 3, "success": spec["success"] | {"hold_s": 2}}))
    outputs = train_policy(TINY | {"task": str(short), "domain": domain_file(folder, "mass[pole]")}, context(folder))
    return folder, outputs


def test_outputs_are_those_of_the_contract_and_consistent(trained):
    folder, outputs = trained
    assert outputs["env_steps"] == 512
    assert outputs["steps_per_second"] == pytest.approx(512 / outputs["wall_s"])
    assert 0 <= outputs["compile_s"] < outputs["wall_s"]
    assert len(outputs["digest"]) == 64
    assert (folder / "metrics.jsonl").read_text().count('"policy_entropy"') == 2
    assert all((folder / f"artifacts/figures/{name}.svg").is_file() for name in ("training", "rewards"))
    assert {path.name for path in Path(outputs["policy"]).iterdir()} == {
        "weights.npz", "contract.yaml", "task.yaml", "model.xml", "provenance.json", "domain.yaml", "events.jsonl"
    }  # fmt: skip


def test_validation_counts_every_trial_once(trained, tmp_path):
    run = context(tmp_path)
    outputs = validate_transfer(
        {"policy": trained[1]["policy"], "trials": 12, "film": False, "pseudo_real": str(model_path("cartpole")), "pseudo_real_trials": 4},
        run,
    )
    failed = sum(outputs["failures"].values())
    assert outputs["success_rate"] == pytest.approx(1 - failed / 12)
    low, high = outputs["success_interval"]
    assert low <= outputs["success_rate"] <= high
    assert outputs["pseudo_real"]["trials"] == 4
    rows = Path(outputs["records"]).read_text().splitlines()
    assert len(rows) == 13
    assert "mass[pole]" in rows[0]


@pytest.mark.parametrize("failing", [12, 4])
def test_where_one_evaluation_fails_the_other_stops_and_the_failure_is_told(trained, tmp_path, monkeypatch, failing):
    stopped = []

    def evaluate(policy, task, *, trials, progress, **_):
        if trials == failing:
            raise CoreError("reward 'alive' is nan in environment 3")
        try:
            for step in range(3000):
                progress(step, 3000)
                time.sleep(0.01)
        except BaseException:
            stopped.append(trials)
            raise

    monkeypatch.setattr(skill, "evaluate", evaluate)
    inputs = {"policy": trained[1]["policy"], "trials": 12, "pseudo_real": str(model_path("cartpole")), "pseudo_real_trials": 4}
    with pytest.raises(CoreError, match="environment 3"):
        validate_transfer(inputs, context(tmp_path))
    assert stopped == [16 - failing]


def test_physics_that_broke_down_is_told_with_its_share_and_the_states_outlive_the_checkpoints(tmp_path):
    run = context(tmp_path)
    kept = run.checkpoint("ppo") / BREAKDOWN
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(b"states")
    curves = {"temperature": [0.1, 0.1], "episodes": [30.0, 10.0], "diverged": [0.0, 2.0]}
    result = SimpleNamespace(curves=curves, return_iqm=1.0, diverged_at="environment 5, step 3 of update 2")
    _warn(result, PPOConfig(), run)
    (warning,) = run.warnings
    assert "2 of 40 training episodes (5 %)" in warning
    assert "the first in environment 5, step 3 of update 2" in warning
    assert "`physics_dt`" in warning
    assert run.artifact(BREAKDOWN).read_bytes() == b"states"


@pytest.mark.parametrize(("mode", "lines"), [("auto", 2), ("fixed", 1), ("schedule", 1)])
def test_only_a_tuned_temperature_has_a_target_in_the_figure(mode, lines):
    names = ("env_steps", "return", "success", "policy_entropy", "target_entropy", "temperature")
    header = {"config": {"temperature": {"mode": mode}}}
    fig = figures.training(SimpleNamespace(curves={name: [0.1, 0.2] for name in names}, header=header))
    assert len(fig.axes[2].lines) == lines
    pyplot.close(fig)


def test_a_damaged_bundle_is_refused(trained, tmp_path):
    import shutil

    copy = tmp_path / "policy"
    shutil.copytree(trained[1]["policy"], copy)
    with np.load(copy / "weights.npz") as file:
        arrays = dict(file)
    name = next(key for key in arrays if "weights[0]" in key)
    arrays[name] = arrays[name] + 1
    with (copy / "weights.npz").open("wb") as file:
        np.savez(file, **arrays)
    with pytest.raises(CoreError, match="not those that were saved"):
        Policy.load(copy)


def test_a_policy_on_another_task_says_what_differs(trained, tmp_path):
    inputs = {
        "policy": trained[1]["policy"],
        "task": str(task_path("pendulum-swingup")),
        "trials": 2,
        "domain": domain_file(tmp_path, "gravity"),
    }
    Path(inputs["domain"]).write_text(
        yaml.safe_dump({"schema": 1, "parameters": {"gravity": {"distribution": "uniform", "low": 9.7, "high": 9.9}}})
    )
    with pytest.raises(CoreError, match=r"does not fit task 'pendulum-swingup'.*observations"):
        validate_transfer(inputs, context(tmp_path))


def test_a_domain_that_names_what_the_model_lacks_is_refused_with_the_name(tmp_path):
    with pytest.raises(Exception, match=r"mass\[pol\]") as caught:
        train_policy(TINY | {"domain": domain_file(tmp_path, "mass[pol]")}, context(tmp_path))
    assert caught.value.hint


def test_a_task_whose_actuator_the_model_lacks_is_refused(tmp_path):
    with pytest.raises(Exception, match="force") as caught:
        train_policy(TINY | {"model": str(model_path("qube"))}, context(tmp_path))
    assert caught.value.hint
