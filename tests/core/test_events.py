"""The event log: what is written reads back, and every way of changing it shows, and shows where."""

from __future__ import annotations

import dataclasses
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from realitygap_core import events
from realitygap_core.errors import CoreError
from realitygap_core.ppo.train import _change

HEAD = events.header(of="training", seed=1)


def chain(count: int, head=HEAD):
    log = []
    for index in range(count):
        fields = {"before": f"s{index}", "after": f"s{index + 1}", "delta": {"reward": 0.1 * index}, "trit": 0, "impact": 0}
        log.append(events.follow(head, log[-1] if log else None, **fields))
    return log


def test_the_log_reads_back_and_is_intact(tmp_path):
    path = events.write_log(tmp_path / "events.jsonl", HEAD, chain(4))
    head, log = events.read_log(path)
    assert (head, log) == (HEAD, chain(4))
    assert events.first_break(head, log) is None
    assert events.first_break(HEAD, []) is None
    assert events.first_break(HEAD, log[:2]) is None


@pytest.mark.parametrize(
    ("change", "position", "reason"),
    [
        (lambda log: log.pop(1), 1, "one is missing"),
        (lambda log: log.insert(2, log[1]), 2, "out of order"),
        (lambda log: log.__setitem__(2, dataclasses.replace(log[2], delta={"reward": 9.0})), 2, "not what was written"),
        (lambda log: log.__setitem__(3, dataclasses.replace(log[3], trit=1)), 3, "not what was written"),
        (lambda log: log.__setitem__(1, dataclasses.replace(log[1], before="other")), 1, "state that the event before"),
    ],
)
def test_an_event_that_was_changed_moved_or_left_out_is_named(change, position, reason):
    log = chain(5)
    change(log)
    found = events.first_break(HEAD, log)
    assert found is not None
    assert found[0] == position
    assert reason in found[1]


def test_a_changed_header_breaks_the_first_event():
    assert events.first_break(HEAD | {"seed": 2}, chain(3)) == (0, "its content, or that of the header, is not what was written")


@settings(max_examples=50, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False), st.text())
def test_any_float_and_text_reads_back_to_an_intact_chain(tmp_path_factory, value, text):
    log = [events.follow(HEAD, None, before="a", after="b", delta={"x": value, text: text}, trit=0, impact=1)]
    path = events.write_log(tmp_path_factory.getbasetemp() / "any.jsonl", HEAD, log)
    assert events.read_log(path) == (HEAD, log)
    assert events.first_break(*events.read_log(path)) is None


@pytest.mark.parametrize(("change", "error", "trit"), [(1.0, 0.4, 1), (-1.0, 0.4, -1), (1.0, 0.5, 0), (0.0, 0.0, 0), (math.nan, 0.1, 0)])
def test_trit_is_the_sign_of_what_the_sample_can_show(change, error, trit):
    assert events.trit(change, error) == trit


def test_errors_of_two_samples_add_in_squares_and_a_sample_of_one_shows_nothing():
    assert events.trit(1.1, 0.3, 0.4) == 1
    assert events.trit(0.9, 0.3, 0.4) == 0
    assert events.trit(100.0, None, 0.1) == 0


def test_one_environment_alone_never_shows_a_difference():
    def change(reward, log):
        reward_tb = np.full((4, 1), reward)
        rollout = SimpleNamespace(reward_tb=reward_tb, raw_action_tbn=reward_tb[..., None])
        episodes = SimpleNamespace(done_tb=reward_tb > 9, success_tb=reward_tb > 9)
        return events.follow(HEAD, log[-1] if log else None, **_change(rollout, episodes, log, "a", "b"))

    log = [change(1.0, [])]
    log.append(change(5.0, log))
    assert [event.trit for event in log] == [0, 0]
    assert json.loads(json.dumps(log[1].delta, allow_nan=False))["standard_error"] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "no event log"), ("[]\n", "no JSON object"), ("{}\n", "no event log"), (json.dumps(HEAD) + "\n{]\n", "no JSON"),
     (json.dumps(HEAD) + '\n{"index": 0}\n', "no event: after"), ("\x00\n", "no JSON"), ("[" * 100_000 + "\n", "no JSON")],
)  # fmt: skip
def test_what_is_no_log_is_refused_with_the_line(tmp_path, text, message):
    path = tmp_path / "events.jsonl"
    path.write_text(text)
    with pytest.raises(CoreError, match=message) as caught:
        events.read_log(path)
    assert caught.value.where.startswith(str(path))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
FIELD = st.sampled_from([field.name for field in dataclasses.fields(events.Event)])


@settings(max_examples=100, deadline=None)
@given(FIELD, JSON)
@example("trit", [])
@example("index", True)
@example("before", None)
def test_an_event_with_any_value_in_a_field_is_refused_with_the_line_or_can_be_checked(tmp_path_factory, name, value):
    path = tmp_path_factory.getbasetemp() / "hostile.jsonl"
    rows = [HEAD, dataclasses.asdict(chain(1)[0]) | {name: value}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    refused = None
    try:
        head, log = events.read_log(path)
    except CoreError as error:
        refused = (error.where, error.message)
    if refused is None:
        assert log == chain(1) or events.first_break(head, log) is not None
    else:
        assert refused == (f"{path}:2", f"this line is no event: {name}")
