"""The policy bundle: what is saved is what acts after loading; a bundle that is damaged or of another task is refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import yaml
from numpy.testing import assert_allclose, assert_array_equal
from taskbench import compiled, task_spec

from realitygap_core.errors import CoreError
from realitygap_core.policy import Policy
from realitygap_core.ppo.networks import NetworkConfig
from realitygap_core.ppo.update import PPOConfig, init_learner

TASK = "cartpole-balance"
OBSERVATIONS = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)


def fresh(config: NetworkConfig) -> Policy:
    """Random weights; the normaliser has seen observations."""
    learner = init_learner(PPOConfig(network=config), {"policy": 5, "critic": 5}, 1, 3)
    learner = learner.__class__(**{**vars(learner), "policy_normalizer": learner.policy_normalizer.update(3 * OBSERVATIONS + 1)})
    return Policy.from_learner(learner, compiled(TASK), {"seed": 3})


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Policy, Path]:
    policy = fresh(NetworkConfig(actor_hidden=(8, 6), critic_hidden=(4,)))
    folder = tmp_path_factory.mktemp("bundle") / "policy"
    return policy, policy.save(folder, task_spec=task_spec(TASK), robot=compiled(TASK).nominal)


@pytest.fixture
def copy(saved: tuple[Policy, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved[1], tmp_path / "policy"))


def test_a_loaded_policy_acts_bit_for_bit_as_the_saved_one_and_keeps_its_contract(saved: tuple[Policy, Path]) -> None:
    policy, folder = saved
    loaded = Policy.load(folder)
    assert_array_equal(loaded.apply(OBSERVATIONS), policy.apply(OBSERVATIONS))
    assert_array_equal(loaded.apply(OBSERVATIONS, jax.random.PRNGKey(1)), policy.apply(OBSERVATIONS, jax.random.PRNGKey(1)))
    assert loaded.contract == policy.contract
    assert (loaded.provenance["seed"], loaded.provenance["model_exact"]) == (3, True)
    loaded.check(compiled(TASK))


@pytest.mark.parametrize(
    ("activation", "std"), [("tanh", "state"), ("relu", "state"), ("elu", "state"), ("silu", "state"), ("tanh", "global")]
)
def test_the_control_loop_in_numpy_gives_the_actions_of_jax(activation: Any, std: Any) -> None:
    policy = fresh(NetworkConfig(actor_hidden=(8,), critic_hidden=(4,), activation=activation, std=std, squash=std == "state"))
    assert_allclose(policy.act(OBSERVATIONS), policy.apply(OBSERVATIONS), rtol=1e-5, atol=1e-6)


def test_the_contract_says_what_the_policy_sees_and_gives_in_order_and_in_units(saved: tuple[Policy, Path]) -> None:
    contract = saved[0].contract
    assert [label for entry in contract["observations"] for label in entry["labels"]] == [
        "slider", "sin(hinge)", "cos(hinge)", "dslider/dt", "dhinge/dt",
    ]  # fmt: skip
    assert contract["observations"][2]["scale"] == [0.5, 0.2]
    assert contract["actions"] == [{"actuator": "force", "low": -1.0, "high": 1.0}]
    assert contract["control_dt"] == 0.02


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"control_dt": 0.01}, "control_dt is 0.01 instead of 0.02"),
        (
            {"observations": {"policy": [{"term": "joint_position", "params": {"joints": ["slider"]}}]}},
            "observations: 1 entries instead of 3",
        ),
        (
            {"observations": {"policy": [*task_spec(TASK)["observations"]["policy"][:2], {"term": "joint_velocity", "scale": [0.5, 0.3]}]}},
            "observations/joint_velocity/scale is [0.5, 0.3] instead of [0.5, 0.2]",
        ),
        ({"action": {"params": {"actuators": ["force"], "limits": [-0.5, 0.5]}}}, "actions/force/low is -0.5 instead of -1.0"),
    ],
)
def test_a_task_that_breaks_the_contract_is_refused_with_what_differs(
    saved: tuple[Policy, Path], changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(CoreError, match="does not fit task 'cartpole-balance'") as caught:
        Policy.load(saved[1]).check(compiled(TASK, **changes))
    assert told in caught.value.message


def contract(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = yaml.safe_load((folder / "contract.yaml").read_text())
        change(content)
        (folder / "contract.yaml").write_text(yaml.safe_dump(content))

    return damage


def weights(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        with np.load(folder / "weights.npz") as file:
            arrays = dict(file)
        change(arrays)
        with (folder / "weights.npz").open("wb") as out:
            np.savez(out, allow_pickle=True, **arrays)

    return damage


def shorten(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:40]) and None


@pytest.mark.parametrize(
    ("damage", "file"),
    [
        (lambda folder: (folder / "contract.yaml").unlink(), "contract.yaml"),
        (lambda folder: (folder / "contract.yaml").write_bytes(b"\xff\x00"), "contract.yaml"),
        (lambda folder: (folder / "contract.yaml").write_text("!!python/object/apply:os.system [true]"), "contract.yaml"),
        (contract(lambda c: c.update(schema=2)), "contract.yaml"),
        (contract(lambda c: c.pop("network")), "contract.yaml"),
        (contract(lambda c: c.update(network=3)), "contract.yaml"),
        (contract(lambda c: c["network"].update(activation="step")), "contract.yaml"),
        (contract(lambda c: c["network"].update(std="none")), "contract.yaml"),
        (contract(lambda c: c["network"].update(hidden=["8", "6"])), "contract.yaml"),
        (contract(lambda c: c["network"].update(hidden=[10**9, 6])), "weights.npz"),
        (contract(lambda c: c["network"].update(hidden=[-8, 6])), "contract.yaml"),
        (contract(lambda c: c["network"].update(log_std_range=[1])), "contract.yaml"),
        (contract(lambda c: c.update(actions=7)), "contract.yaml"),
        (contract(lambda c: c.update(observations=["x"])), "contract.yaml"),
        (contract(lambda c: c["network"].update(hidden=[8, 7])), "weights.npz"),
        (contract(lambda c: c["observations"].pop()), "weights.npz"),
        (shorten("weights.npz"), "weights.npz"),
        (lambda folder: (folder / "weights.npz").unlink(), "weights.npz"),
        (weights(lambda a: a.update({next(iter(a)): np.array([object()])})), "weights.npz"),
        (weights(lambda a: a.pop(next(iter(a)))), "weights.npz"),
        (weights(lambda a: a.update({n: v + 1 for n, v in a.items() if "weights" in n})), "weights.npz"),
        (shorten("provenance.json"), "provenance.json"),
        (lambda folder: (folder / "provenance.json").write_text("[]"), "provenance.json"),
        (lambda folder: (folder / "provenance.json").write_text(json.dumps({"digest": None})), "weights.npz"),
    ],
)
def test_a_hostile_bundle_is_refused_and_the_file_named(copy: Path, damage: Callable[[Path], None], file: str) -> None:
    damage(copy)
    with pytest.raises(CoreError) as caught:
        Policy.load(copy)
    assert str(caught.value.where).endswith(file)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CoreError, match="no policy bundle"):
        Policy.load(tmp_path / "nothing")
    with pytest.raises(CoreError, match="holds no task"):
        _ = fresh(NetworkConfig(actor_hidden=(8,), critic_hidden=(4,))).task_file
