"""The policy bundle: what is saved is what acts after loading; a bundle that is damaged or of another task is refused by name."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from numpy.testing import assert_allclose, assert_array_equal
from taskbench import compiled, task_spec

from realitygap_core import robots
from realitygap_core.contract import affine_map, contract_of, differences
from realitygap_core.errors import CoreError
from realitygap_core.policy import Policy
from realitygap_core.ppo.networks import NetworkConfig
from realitygap_core.ppo.update import PPOConfig, init_learner
from realitygap_core.robot import Robot
from realitygap_core.task import Task

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


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_a_policy_with_a_memory_goes_on_where_it_was_after_saving_and_loading(kind: Any, tmp_path: Path) -> None:
    policy = fresh(NetworkConfig(kind=kind, memory=6, actor_hidden=(8,), critic_hidden=(4,)))
    loaded = Policy.load(policy.save(tmp_path / "policy", task_spec=task_spec(TASK), robot=compiled(TASK).nominal))
    assert loaded.state_size == (6 if kind == "gru" else 12)
    state = ours = policy.initial_state(7)
    for _ in range(3):
        wanted, ours = policy.step(OBSERVATIONS, ours)
        given, state = loaded.step(OBSERVATIONS, state)
        assert_array_equal(given, wanted)
    first, _ = policy.step(OBSERVATIONS, policy.initial_state(7))
    assert np.abs(np.asarray(first) - np.asarray(given)).max() > 0  # it does remember
    with pytest.raises(CoreError, match="remembers"):
        policy.apply(OBSERVATIONS)


def test_a_categorical_head_is_kept_in_the_bundle(tmp_path: Path) -> None:
    policy = fresh(NetworkConfig(head="categorical", choices=5, actor_hidden=(8,), critic_hidden=(4,)))
    loaded = Policy.load(policy.save(tmp_path / "policy", task_spec=task_spec(TASK), robot=compiled(TASK).nominal))
    assert set(np.unique(np.asarray(loaded.apply(OBSERVATIONS)))) <= {-1.0, -0.5, 0.0, 0.5, 1.0}
    assert_array_equal(loaded.apply(OBSERVATIONS), policy.apply(OBSERVATIONS))


def test_the_contract_says_what_the_policy_sees_and_gives_in_order_and_in_units(saved: tuple[Policy, Path]) -> None:
    contract = saved[0].contract
    assert [label for entry in contract["observations"] for label in entry["labels"]] == [
        "slider", "sin(hinge)", "cos(hinge)", "dslider/dt", "dhinge/dt",
    ]  # fmt: skip
    assert contract["observations"][2]["scale"] == [0.5, 0.2]
    (action,) = contract["actions"]
    assert (action["actuator"], action["drives"], action["unit"], action["low"], action["high"]) == ("force", "slider", "N", -1.0, 1.0)
    assert (action["gear"], action["gain"], action["rate"], action["force_limit"]) == (10.0, 1.0, None, None)
    assert (action["offset"], action["scale"]) == (0.0, 1.0)
    assert contract["control_dt"] == 0.02
    assert contract["joints"] == [
        {"name": "slider", "type": "slide", "unit": "m", "range": [-2.0, 2.0]},
        {"name": "hinge", "type": "hinge", "unit": "rad", "range": None},
    ]
    assert contract["observations"][0]["reads"] == [{"sensor": "jointpos", "of": "slider"}]


def test_the_map_from_action_to_command_is_found_by_probing_or_refused() -> None:
    asymmetric = compiled(TASK, action={"term": "affine", "params": {"limits": [-1.0, 0.5]}})
    offset, scale = affine_map(asymmetric) or (None, None)
    assert_allclose(np.concatenate([offset, scale]), [-0.25, 0.75], atol=1e-6)
    narrow = compiled(TASK, action={"term": "affine", "params": {"limits": [-1.0, 0.5], "scale": 5.0}})
    offset, scale = affine_map(narrow) or (None, None)
    assert_allclose(np.concatenate([offset, scale]), [-0.25, 5.0], atol=1e-3)
    bent = dataclasses.replace(asymmetric, action=dataclasses.replace(asymmetric.action, command=lambda action: jnp.sin(3 * action)))
    assert affine_map(bent) is None


def test_another_robot_is_told_by_the_names_of_what_differs(saved: tuple[Policy, Path]) -> None:
    loaded = Policy.load(saved[1])
    text = Path(robots.model_path("cartpole") or "").read_text(encoding="utf-8")
    assert loaded.robot_differences(Robot.from_xml(text, name="cartpole")) == []
    heavier = Robot.from_xml(text.replace('mass="0.1"', 'mass="0.2"').replace('range="-2 2"', 'range="-1 1"'))
    found = loaded.robot_differences(heavier)
    assert "the range of joint 'slider' is [-1.0, 1.0] instead of [-2.0, 2.0]" in found
    assert "mass[pole] is 0.2 instead of 0.1" in found
    assert not any("damping" in sentence for sentence in found)
    loaded.check(compiled(TASK))  # another plant may be judged ...
    other = Robot.from_xml(
        text.replace('hinge"', 'pivot"').replace('type="pivot"', 'type="hinge"').replace('body name="pole"', 'body name="rod"')
    )
    found = loaded.robot_differences(other)
    assert "joint 'hinge' is missing" in found  # ... another machine may not
    assert "joint 'pivot' is new" in found
    assert found.count("body 'pole' is missing") == 1  # once, not for each of its parameters
    assert not any("[" in sentence.partition(" is ")[0] for sentence in found)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"control_dt": 0.01}, "control_dt is 0.01 instead of 0.02"),
        (
            {"observations": {"policy": [{"term": "joint_position", "params": {"joints": ["slider"]}}]}},
            "observations are joint_position instead of joint_position, joint_angle_sincos, joint_velocity",
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


def test_parameters_of_a_term_are_part_of_the_contract_where_both_sides_give_them() -> None:
    def seeing(**params: Any) -> Task:
        return compiled(TASK, observations={"policy": [{"term": "phase", "params": params}]})

    made = contract_of(seeing(period_s=0.8))
    assert made["observations"][0]["params"] == {"period_s": 0.8}
    assert differences(made, seeing(period_s=0.5)) == ["observations/phase/params/period_s is 0.5 instead of 0.8"]
    assert differences(made, seeing(period_s=0.8, offsets=[0.0])) == []


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
