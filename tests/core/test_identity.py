"""What two trainings are told apart by: digests of the task and of the domain."""

from __future__ import annotations

import taskbench

from realitygap_core.domain import Domain
from realitygap_core.environment import Environment
from realitygap_core.task import compile_task

SPEC = taskbench.task_spec("pendulum-swingup")


def task(training: bool = False, **changes):
    return compile_task(SPEC | changes, taskbench.Catalog(), engine="mujoco", training=training)


def domain(high: float, **words: str) -> Domain:
    return Domain.from_mapping({"schema": 1, **words, "parameters": {"gravity": {"distribution": "uniform", "low": 9.7, "high": high}}})


def test_the_digest_of_a_task_changes_with_what_is_learnt_and_not_with_its_name_or_domain():
    same = {
        task().digest,
        task(name="another", summary="in other words").digest,
        task(domain=domain(9.9).to_mapping()).digest,
        task(training={"physics_dt": 0.002}).digest,  # it does not count where the policy is judged
    }
    assert len(same) == 1
    others = {
        task(rewards=[*SPEC["rewards"][:2], {"term": "action_squared", "weight": -0.02}]).digest,
        task(episode_s=5).digest,
        task(model="cartpole", action={"params": {"actuators": ["force"]}}, rewards=SPEC["rewards"][2:], success=None).digest,
        task(physics_dt=0.0025).digest,
    }
    assert len(others) == 4
    assert not same & others


def test_the_digest_of_a_domain_is_that_of_the_distribution():
    assert domain(9.9).digest == domain(9.9, description="as measured").digest == Domain.from_mapping(domain(9.9).to_mapping()).digest
    assert domain(9.9).digest != domain(9.8).digest


def test_an_environment_is_known_by_both():
    for given in (None, domain(9.9)):
        one = task(domain=None if given is None else given.to_mapping())
        env = Environment(one, num_envs=2)
        env.close()
        assert env.identity == {"task": one.digest, "domain": None if given is None else given.digest}
