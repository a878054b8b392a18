"""Open-loop replay: exact times, exact delays, exact starts."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from realitygap_core.errors import CoreError
from realitygap_core.parameters import apply, apply_many
from realitygap_core.recording import Channel, Log, Recording, Signal, Stream, Target
from realitygap_core.replay import Replay
from realitygap_core.robot import Robot

# A mass on a slide without gravity or damping: acceleration = command.
SLIDER = """
<mujoco model="slider">
  <option timestep="0.001" gravity="0 0 0" integrator="Euler"/>
  <worldbody><body name="cart"><joint name="x" type="slide" axis="1 0 0"/><geom size=".1" mass="1"/></body></worldbody>
  <actuator><motor name="push" joint="x"/></actuator>
  <sensor><jointvel name="speed" joint="x"/><clock name="clock"/><jointactuatorfrc name="force" joint="x"/></sensor>
</mujoco>
"""
COMMAND = Channel(name="u", role="command", unit="N", target=Target(kind="actuator", name="push"))
POSITION = Channel(name="pos", role="sensor", unit="m", quantity="position", target=Target(kind="joint", name="x"))


def make(t_command, commands, t_sensor, position, *, hold="zoh", extra=(), log="a"):
    command = Channel(name="u", role="command", unit="N", target=Target(kind="actuator", name="push"), hold=hold)
    channels = (POSITION, *extra)
    values = np.column_stack([position] * len(channels))
    signals = {
        "c": Signal(t_t=np.asarray(t_command, float), values_tc=np.asarray(commands, float)[:, None], channels=(command,)),
        "s": Signal(t_t=np.asarray(t_sensor, float), values_tc=values, channels=channels),
    }
    streams = (Stream(name="c", channels=(command,)), Stream(name="s", channels=channels))
    return Recording(name="r", streams=streams, data={log: Log(name=log, signals=signals)})


@pytest.fixture(scope="module")
def robot():
    return Robot.from_xml(SLIDER)


def euler(ctrl, x0, dt=0.001):
    """Positions at 0, dt, ... of a unit mass by semi-implicit Euler, which is what MuJoCo's Euler is."""
    velocity = np.cumsum(ctrl) * dt
    return x0 + np.concatenate([[0.0], np.cumsum(velocity) * dt])


def test_a_held_command_is_integrated_from_the_recorded_start(robot):
    t = np.arange(0, 0.1001, 0.01)
    commands = np.linspace(1, 2, 10)
    replay = Replay(robot, make(t[:-1], commands, t, np.full(11, 0.3)))
    shown = replay.simulate([apply(robot, {})])["pos"][0]
    np.testing.assert_allclose(shown, euler(np.repeat(commands, 10), 0.3)[::10], atol=1e-12)


def test_a_linear_command_is_averaged_over_each_step(robot):
    t = np.array([0.0, 0.05, 0.1])
    replay = Replay(robot, make(t, [0.0, 5.0, 0.0], t, np.zeros(3), hold="linear"))
    middle = (np.arange(100) + 0.5) * 0.001  # the mean of a line over a step is its value in the middle
    expected = euler(np.interp(middle, t, [0.0, 5.0, 0.0]), 0.0)
    np.testing.assert_allclose(replay.simulate([apply(robot, {})])["pos"][0], expected[[0, 50, 100]], atol=1e-12)


@pytest.mark.parametrize("delay", [0.004, 0.0045, 0.0213])
def test_a_delay_shifts_the_command_by_exactly_that_time(robot, delay):
    t = np.arange(0, 0.1001, 0.01)
    commands = np.array([1, -1, 2, 0, 1, 3, -2, 0, 1, 1], float)
    replay = Replay(robot, make(t[:-1], commands, t, np.zeros(11)))
    # By brute force: the command on a grid of 10 us, 0 before the log begins, shifted, averaged over steps of 1 ms.
    fine = np.repeat(commands, 1000)
    shift = round(delay * 1e5)
    ctrl = np.concatenate([np.zeros(shift), fine])[: len(fine)].reshape(-1, 100).mean(axis=1)
    shown = replay.simulate([apply(robot, {"delay[push]": delay})])["pos"][0]
    np.testing.assert_allclose(shown, euler(ctrl, 0.0)[::10], atol=1e-9)


def test_scale_offset_and_rate_limit_act_in_that_order(robot):
    t = np.arange(0, 0.0501, 0.01)
    commands = np.array([1.0, 1.0, 1.0, 0.0, 0.0])
    values = {"command_scale[push]": 2.0, "command_offset[push]": 0.5, "command_rate[push]": 100.0}
    # Scaled to 2, 2, 2, 0, 0 and moved at most 0.1 a step of 1 ms: 20 steps up, 10 held, 20 down; the offset is there from the start.
    ctrl = np.concatenate([np.arange(1, 21) * 0.1, np.full(10, 2.0), 2.0 - np.arange(1, 21) * 0.1]) + 0.5
    replay = Replay(robot, make(t[:-1], commands, t, np.zeros(6)))
    np.testing.assert_allclose(replay.simulate([apply(robot, values)])["pos"][0], euler(ctrl, 0.0)[::10], atol=1e-9)


def test_a_servo_holds_its_first_command_before_the_log_begins():
    servo = Robot.from_xml(SLIDER.replace('<motor name="push" joint="x"/>', '<position name="push" joint="x" kp="100"/>'))
    t = np.arange(0, 0.1001, 0.01)
    replay = Replay(servo, make(t[:-1], np.full(10, 0.2), t, np.full(11, 0.2)))
    np.testing.assert_allclose(replay.simulate([apply(servo, {"delay[push]": 0.05})])["pos"][0], 0.2, atol=1e-12)


def test_jittered_stamps_are_compared_where_they_are(robot):
    t = np.array([0.0, 0.0093, 0.0217, 0.03, 0.0405])
    replay = Replay(robot, make([0.0], [2.0], t, np.zeros(5)))
    grid = np.arange(42) * 0.001
    expected = np.interp(t, grid, euler(np.full(41, 2.0), 0.0))
    np.testing.assert_allclose(replay.simulate([apply(robot, {})])["pos"][0], expected, atol=1e-12)


def test_sensor_scale_offset_and_delay_describe_the_channel_and_keep_the_start(robot):
    t = np.arange(0, 0.1001, 0.01)
    replay = Replay(robot, make(t[:-1], np.ones(10), t, np.full(11, 0.5)))
    values = {"sensor_scale[x]": 2.0, "sensor_offset[x]": 0.1, "sensor_delay[x]": 0.02}
    x = euler(np.ones(100), (0.5 - 0.1) / 2)
    late = np.concatenate([[x[0], x[0]], x[::10][:-2]])
    np.testing.assert_allclose(replay.simulate([apply(robot, values)])["pos"][0], 2 * late + 0.1, atol=1e-12)


def test_sensordata_belongs_to_the_stamp_and_not_to_the_step_before(robot):
    clock = Channel(name="clock", role="sensor", unit="s", target=Target(kind="sensor", name="clock"))
    t = np.arange(0, 0.1001, 0.01)
    replay = Replay(robot, make(t[:-1], np.ones(10), t, np.zeros(11), extra=(clock,)))
    np.testing.assert_allclose(replay.simulate([apply(robot, {})])["clock"][0], t, atol=1e-9)


def test_a_batch_of_plants_equals_each_alone_bit_for_bit(robot):
    t = np.arange(0, 0.2001, 0.01)
    rng = np.random.default_rng(0)
    replay = Replay(robot, make(t[:-1], rng.normal(size=20), t, np.zeros(21)))
    plants = apply_many(robot, ("mass[cart]", "delay[push]"), rng.uniform([0.5, 0.0], [2.0, 0.02], (7, 2)))
    together = replay.simulate(plants)["pos"]
    for index, plant in enumerate(plants):
        assert np.array_equal(together[index], replay.simulate([plant])["pos"][0])


def test_windows_restart_from_the_recorded_state(robot):
    # The recording is of a cart that moves at 1 m/s from 0.3; the command says nothing. Restarted each 50 ms, the model is never far off.
    t = np.arange(0, 0.2001, 0.01)
    recording = make(t[:-1], np.zeros(20), t, 0.3 + t)
    still = Replay(robot, recording)
    restarted = Replay(robot, recording, window=0.05)
    assert len(restarted.segments) == 4
    assert np.abs(still.simulate([apply(robot, {})])["pos"][0] - still.real["pos"]).max() == pytest.approx(0.2)
    np.testing.assert_allclose(restarted.simulate([apply(robot, {})])["pos"][0], restarted.real["pos"], atol=1e-9)


def test_replay_leaves_the_plant_as_it_was(robot):
    t = np.arange(0, 0.0501, 0.01)
    plant = apply(robot, {})
    flags = int(plant.model.opt.disableflags)
    Replay(robot, make(t[:-1], np.ones(5), t, np.zeros(6))).simulate([plant])
    assert int(plant.model.opt.disableflags) == flags


def test_the_simulated_recording_replays_to_itself(robot):
    t = np.arange(0, 0.1001, 0.01)
    replay = Replay(robot, make(t[:-1], np.sin(np.arange(10.0)), t, np.zeros(11)))
    simulated, real = replay.recordings(apply(robot, {}))
    assert np.array_equal(real.data["a"].channel("pos")[1], np.zeros(11))
    again = Replay(robot, simulated)
    np.testing.assert_allclose(again.simulate([apply(robot, {})])["pos"][0], again.real["pos"], atol=1e-12)


def test_a_recording_without_anything_to_compare_is_refused(robot):
    recording = make([0.0], [1.0], [0.0, 0.1], [0.0, 0.0])
    with pytest.raises(CoreError) as caught:
        Replay(robot, recording, channels=["poss"])
    assert "pos" in str(caught.value.hint)


def test_logs_of_different_lengths_are_each_replayed_to_their_end(robot):
    first = make([0.0], [1.0], np.arange(0, 0.0501, 0.01), np.zeros(6))
    second = make([0.0], [1.0], np.arange(0, 0.3001, 0.01), np.zeros(31), log="b")
    both = Recording(name="r", streams=first.streams, data={**first.data, **second.data})
    replay = Replay(robot, both)
    shown = replay.simulate([apply(robot, {})])["pos"][0]
    whole = euler(np.ones(300), 0.0)[::10]
    np.testing.assert_allclose(shown[replay.log_mask("pos", "a")], whole[:6], atol=1e-12)
    np.testing.assert_allclose(shown[replay.log_mask("pos", "b")], whole, atol=1e-12)


def test_a_free_body_with_a_movable_centre_of_mass_moves_as_in_mujoco():
    # Of a body whose centre of mass is at its frame the compiler stores the diagonal of the mass matrix alone; with a shift it is all 21
    # entries, for which the memory of the nominal model is too small.
    robot = Robot.from_xml("""<mujoco><option timestep="0.001" gravity="0 0 0"/><worldbody>
    <body name="b"><freejoint name="root"/><geom type="box" size=".1 .2 .3" mass="1"/></body>
    <body pos="3 0 0"><joint name="x"/><geom size=".1" pos="0 0 .2" mass="1"/></body></worldbody>
    <actuator><motor name="push" joint="root" gear="0 1 0 0 0 2"/></actuator>
    <sensor><actuatorvel name="rate" actuator="push"/></sensor></mujoco>""")
    rate = Channel(name="rate", role="sensor", unit="1", target=Target(kind="sensor", name="rate"))
    t = np.arange(0, 0.2001, 0.01)
    replay = Replay(robot, make(t[:-1], np.ones(20), t, np.zeros(21), extra=(rate,)), threads=2)
    plant = apply(robot, {"com_x[b]": 0.05})
    assert plant.model.nC > robot.model.nC
    data, expected = mujoco.MjData(plant.model), []
    data.ctrl[0] = 1.0
    for _ in range(201):
        mujoco.mj_step(plant.model, data)
        expected.append(float(data.sensordata[0]))  # of the state before the step
    np.testing.assert_allclose(replay.simulate([plant])["rate"][0], expected[::10], rtol=1e-9)
    with pytest.raises(CoreError, match="one batch"):
        replay.simulate([apply(robot, {}), plant])


def test_a_motion_that_blows_up_is_held_far_away_and_not_put_back_to_the_reference_pose():
    # Positive feedback: x'' = 1e6 x. MuJoCo would begin anew at qpos0 once the state is huge.
    text = SLIDER.replace('<motor name="push" joint="x"/>', '<general name="push" joint="x" biastype="affine" biasprm="0 1e6 0"/>')
    unstable = Robot.from_xml(text)
    force = Channel(name="f", role="sensor", unit="N", target=Target(kind="sensor", name="force"))
    t = np.arange(0, 0.5001, 0.01)
    shown = Replay(unstable, make(t[:-1], np.ones(50), t, np.full(51, 0.1), extra=(force,))).simulate([apply(unstable, {})])
    assert shown["pos"][0, -1] == 1e6
    assert np.abs(shown["f"]).max() == 1e6


def test_windows_start_with_the_velocity_of_the_robot_and_not_of_the_channel(robot):
    t = np.arange(0, 0.4001, 0.01)
    truth = 0.1 + 0.5 * t
    values = {"sensor_scale[x]": 2.0, "sensor_offset[x]": 0.3}
    replay = Replay(robot, make(t[:-1], np.zeros(40), t, 2 * truth + 0.3), window=0.1)
    np.testing.assert_allclose(replay.simulate([apply(robot, values)])["pos"][0], 2 * truth + 0.3, atol=1e-9)
    # A velocity channel has a scale of its own, and it is the one that the start was read from.
    speed = Channel(name="v", role="sensor", unit="m/s", quantity="velocity", target=Target(kind="sensor", name="speed"))
    both = make(t[:-1], np.zeros(40), t, truth, extra=(speed,))
    both.data["a"].signals["s"].values_tc[:, 1] = 3 * 0.5 + 0.2
    scaled = {"sensor_scale[speed]": 3.0, "sensor_offset[speed]": 0.2}
    np.testing.assert_allclose(Replay(robot, both, window=0.1).simulate([apply(robot, scaled)])["pos"][0], truth, atol=1e-9)


def test_a_rate_limit_acts_on_the_delayed_command_and_a_window_equals_the_log_in_one(robot):
    t = np.arange(0, 0.4001, 0.01)
    commands = np.where(np.arange(40) // 10 % 2 == 0, 1.0, -1.0)
    plant = apply(robot, {"command_rate[push]": 40.0, "delay[push]": 0.0125})
    whole = Replay(robot, make(t[:-1], commands, t, np.zeros(41)))
    expected = np.concatenate([np.zeros(12), [0.5 * commands[0]], np.repeat(commands, 10)])
    expected[13 + 100 * np.arange(1, 4) - 1] = 0.0  # the mean of a step over which the command changes sign
    follow, now = [], 0.0
    for wanted in expected[:400]:
        now += float(np.clip(wanted - now, -0.04, 0.04))
        follow.append(now)
    ctrl = whole._commands["a"].ctrl(plant.path, whole.segments[0], 400, 0.001)[:, 0]
    np.testing.assert_allclose(ctrl, follow, atol=1e-9)
    pieces = Replay(robot, make(t[:-1], commands, t, np.zeros(41)), window=0.1)
    for segment in pieces.segments:
        first = round(segment.start / 0.001)
        ours = pieces._commands["a"].ctrl(plant.path, segment, segment.steps, 0.001)[:, 0]
        np.testing.assert_allclose(ours, follow[first : first + segment.steps], atol=1e-9)
