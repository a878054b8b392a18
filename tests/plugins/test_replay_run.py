"""A training is done again from its bundle, bit for bit; a changed log and a changed training are told apart, with the event."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from realitygap.context import RunContext
from realitygap_core.errors import CoreError
from realitygap_core.events import follow, read_log, write_log
from realitygap_core.robots import task_path
from realitygap_plugins.entropy_ppo.replay import EVENTS, replay_run
from realitygap_plugins.entropy_ppo.skill import train_policy


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    inputs = {"task": str(task_path("cartpole-balance")), "env_steps": 1536, "num_envs": 16, "hidden": [8], "seed": 1, "engine": "mujoco"}
    domain = folder / "domain.yaml"
    domain.write_text(json.dumps({"schema": 1, "parameters": {"mass[pole]": {"distribution": "uniform", "low": 0.05, "high": 0.2}}}))
    extra = {"network": "gru", "memory": 4, "domain": str(domain)}
    return train_policy(inputs | extra, RunContext(folder=folder, seed=1))


@pytest.fixture
def bundle(trained, tmp_path):
    return Path(shutil.copytree(trained["policy"], tmp_path / "policy"))


def replay(bundle, tmp_path, **inputs):
    return replay_run({"policy": str(bundle), **inputs}, RunContext(folder=tmp_path, seed=9))


def test_a_recurrent_training_under_a_domain_comes_out_the_same_bit_for_bit(trained, bundle, tmp_path):
    assert Path(trained["events"]).name == EVENTS
    outputs = replay(bundle, tmp_path)
    assert (outputs["chain"], outputs["complete"], outputs["identical"]) == ("intact", True, True)
    assert (outputs["events"], outputs["replayed"], outputs["first_difference"]) == (3, 3, None)
    assert sum(outputs["trits"].values()) == 3


def test_a_changed_line_is_named_and_nothing_is_executed(bundle, tmp_path):
    path = bundle / EVENTS
    lines = path.read_text().splitlines()
    event = json.loads(lines[2])
    event["delta"]["reward"] += 1.0
    lines[2] = json.dumps(event)
    path.write_text("\n".join(lines) + "\n")
    outputs = replay(bundle, tmp_path)
    assert (outputs["chain"], outputs["identical"], outputs["replayed"]) == ("broken", False, 0)
    assert outputs["first_difference"]["event"] == 1


def test_a_log_forged_with_a_sound_chain_is_found_out_by_doing_it_again(bundle, tmp_path):
    head, log = read_log(bundle / EVENTS)
    forged = [log[0]]
    for event in log[1:]:
        delta = dict(event.delta) | {"rewards": "0" * 64}
        fields = {"before": event.before, "after": event.after, "delta": delta, "trit": 1, "impact": 0}
        forged.append(follow(head, forged[-1], **fields))
    write_log(bundle / EVENTS, head, forged)
    assert replay(bundle, tmp_path, updates=0)["chain"] == "intact"
    outputs = replay(bundle, tmp_path)
    assert outputs["identical"] is False
    assert outputs["first_difference"] == {"event": 1, "what": "the rewards differ"}
    assert outputs["replayed"] == 2


@pytest.mark.parametrize(("part", "before", "after"), [("task", "episode_s: 10", "episode_s: 12"), ("domain", "0.2", "0.3")])
def test_a_bundle_with_another_task_or_domain_is_refused_before_anything_is_trained(bundle, tmp_path, part, before, after):
    path = bundle / f"{part}.yaml"
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))
    with pytest.raises(CoreError, match=f"the {part} in the bundle is not the one that was trained on") as caught:
        replay(bundle, tmp_path)
    assert caught.value.where == str(path)


def forged(head, log):
    """The events with a sound chain under this header."""
    made = []
    for event in log:
        fields = {name: getattr(event, name) for name in ("before", "after", "delta", "trit", "impact")}
        made.append(follow(head, made[-1] if made else None, **fields))
    return made


def test_events_beyond_the_end_of_the_training_are_not_identical(bundle, tmp_path):
    head, log = read_log(bundle / EVENTS)
    more = dataclasses.replace(log[-1], before=log[-1].after)
    write_log(bundle / EVENTS, head, forged(head, [*log, more, dataclasses.replace(more, before=more.after)]))
    outputs = replay(bundle, tmp_path)
    assert (outputs["chain"], outputs["complete"], outputs["identical"], outputs["replayed"]) == ("intact", False, False, 3)
    assert outputs["first_difference"] == {"event": 3, "what": "the training is over, while the log goes on for 2 more"}
    assert "5 events, 2 more than the training has updates" in outputs["summary"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"about": None}, "about, about.engine, about.physics_dt, about.model_digest"),
        ({"config": []}, "config"),
        ({"num_envs": "16"}, "num_envs"),
        ({"config": {"speed": 1}}, "speed"),
        ({"config": {"network": 3}}, "NetworkConfig"),
        ({"config": {"epochs": []}}, "epochs"),
    ],
)
def test_a_header_that_no_training_can_be_done_from_is_told_with_its_line(bundle, tmp_path, change, told):
    head, log = read_log(bundle / EVENTS)
    head |= change
    write_log(bundle / EVENTS, head, forged(head, log))
    with pytest.raises(CoreError, match=told) as caught:
        replay(bundle, tmp_path)
    assert caught.value.where == f"{bundle / EVENTS}:1"


def test_no_updates_checks_the_log_alone(bundle, tmp_path):
    outputs = replay(bundle, tmp_path, updates=0)
    assert (outputs["chain"], outputs["replayed"], outputs["identical"]) == ("intact", 0, None)
