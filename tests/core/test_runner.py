"""examples/runner: in closed loop with C MuJoCo it does what the bundle does; and it stops the robot whatever happens."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from scipy.linalg import solve_discrete_are
from taskbench import compiled, task_spec

from realitygap_core import robots
from realitygap_core.contract import contract_of
from realitygap_core.environment import Environment
from realitygap_core.onnx_export import export_onnx
from realitygap_core.policy import Policy
from realitygap_core.ppo.networks import NetworkConfig
from realitygap_core.ppo.update import PPOConfig, init_learner
from realitygap_core.task import Task

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

FOLDER = Path(__file__).parents[2] / "examples" / "runner"
LINEAR = NetworkConfig(actor_hidden=(), critic_hidden=(), squash=False, std="global")


@pytest.fixture(scope="module")
def program() -> Iterator[SimpleNamespace]:
    """The example's modules, imported as its user does: from its folder."""
    sys.path.insert(0, str(FOLDER))
    names = ("runner", "observer", "limits", "policy_file", "simulated_link")
    try:
        yield SimpleNamespace(**{name: __import__(name) for name in names})
    finally:
        sys.path.remove(str(FOLDER))
        for name in names:
            sys.modules.pop(name, None)


def balancing(task: Task) -> Policy:
    """Linear feedback that balances the cart-pole, from MuJoCo's own linearisation at the control rate."""
    model = task.nominal.model
    data = mujoco.MjData(model)
    a, b = np.zeros((4, 4)), np.zeros((4, 1))
    mujoco.mjd_transitionFD(model, data, 1e-6, True, a, b, None, None)
    total_a, total_b = np.eye(4), np.zeros((4, 1))
    for _ in range(task.substeps):
        total_a, total_b = a @ total_a, a @ total_b + b
    riccati = solve_discrete_are(total_a, total_b, np.diag([1.0, 10.0, 0.1, 0.1]), np.array([[10.0]]))
    gain = np.linalg.solve(10.0 + total_b.T @ riccati @ total_b, total_b.T @ riccati @ total_a)[0]
    # The policy sees (x, sin, cos, 0.5 x', 0.2 angle').
    seen = -np.array([gain[0], gain[1], 0.0, gain[2] / 0.5, gain[3] / 0.2])
    learner = init_learner(PPOConfig(network=LINEAR), {"policy": 5, "critic": 5}, 1, 0)
    policy = Policy.from_learner(learner, task)
    network = eqx.tree_at(lambda mlp: mlp.weights[0], policy.actor.network, jnp.asarray(seen[:, None], jnp.float32))
    return Policy(actor=eqx.tree_at(lambda actor: actor.network, policy.actor, network), contract=policy.contract, provenance={})


def in_the_environment(policy: Policy, task: Task, steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """qpos and qvel at the start, and qpos [steps + 1, nq] of one episode."""
    env = Environment(dataclasses.replace(task, terminations=()), num_envs=1, threads=1)
    try:
        state = env.reset(jax.random.PRNGKey(3))
        start, speed = np.array(state.physics.qpos[0]), np.array(state.physics.qvel[0])
        poses = [start]
        for _ in range(steps):
            state, _ = env.step(state, policy.apply(env.observe(state)["policy"]))
            poses.append(np.array(state.physics.qpos[0]))
    finally:
        env.close()
    return start, speed, np.stack(poses)


def test_the_runner_balances_the_cart_pole_on_c_mujoco_exactly_as_the_bundle_does(program: SimpleNamespace, tmp_path: Path) -> None:
    task = compiled("cartpole-balance")
    policy = balancing(task)
    start, speed, poses = in_the_environment(policy, task, 400)
    file = program.policy_file.PolicyFile(export_onnx(policy, tmp_path / "policy.onnx"))

    link = program.simulated_link.SimulatedLink(task.nominal.model, start, speed)
    seen: list[Any] = []
    read = link.read
    link.read = lambda: seen.append(np.array(link.data.qpos)) or read()
    outcome = program.runner.Runner(file, link, watchdog_s=30, clock=link.clock, sleep=link.sleep).run(8.0)
    assert (outcome.reason, outcome.ticks, outcome.overruns) == ("done", 400, 0)
    assert link.stopped >= 1
    assert_allclose(np.stack(seen), poses[:400], atol=1e-4)
    assert abs(seen[-1][1]) < 0.01


def test_delay_history_clip_and_scale_are_those_of_the_environment(program: SimpleNamespace) -> None:
    spec = task_spec("cartpole-balance")
    spec["observations"]["policy"] = [
        {"term": "joint_position", "delay": [0.03, 0.03], "history": 3, "clip": [-0.05, 0.05], "scale": [2.0, 3.0]},
        {"term": "joint_angle_sincos", "params": {"joints": ["hinge"]}, "history": 2},
        {"term": "last_action"},
        {"term": "episode_time", "delay": [0.02, 0.02]},
        {"term": "phase", "params": {"period_s": 0.07, "offsets": [0.0, 0.25]}},
    ]
    task = compiled("cartpole-balance", observations=spec["observations"])
    observer = program.observer.Observer(contract_of(task), delays="contract")
    assert observer.needs == ["jointpos/slider", "jointpos/hinge"]
    env = Environment(dataclasses.replace(task, terminations=()), num_envs=1, threads=1)
    rng = np.random.default_rng(2)
    try:
        state = env.reset(jax.random.PRNGKey(1))
        for _ in range(12):
            slider, hinge = np.asarray(state.physics.qpos[0])
            ours = observer.observe({"jointpos/slider": slider, "jointpos/hinge": hinge})
            assert_allclose(ours, np.asarray(env.observe(state)["policy"][0]), atol=1e-5)
            action = rng.uniform(-1, 1, (1, 1)).astype(np.float32)
            observer.action = action[0].astype(float)
            state, _ = env.step(state, jnp.asarray(action))
    finally:
        env.close()


def test_a_lost_sample_holds_for_as_long_as_training_has_seen_and_no_longer(program: SimpleNamespace) -> None:
    entry = CONTRACT["observations"][0] | {"drop": 0.1, "history": 2, "labels": ["q", "q@-1"]}
    observer = program.observer.Observer(CONTRACT | {"observations": [entry]})
    with pytest.raises(KeyError):
        observer.observe({})  # nothing to hold yet
    assert observer.observe({"jointpos/q": 0.5}).tolist() == [0.5, 0.5]
    assert observer.observe({"jointpos/q": 0.7}).tolist() == pytest.approx([0.7, 0.5])
    for _ in range(6):  # 0.1^6 is one in a million
        assert observer.observe({}).tolist() == pytest.approx([0.7, 0.7])
    with pytest.raises(KeyError):
        observer.observe({})
    sound = program.observer.Observer(CONTRACT)
    sound.observe({"jointpos/q": 0.5})
    with pytest.raises(KeyError):  # a policy that never learnt to bear a loss
        sound.observe({})


CONTRACT: dict[str, Any] = {
    "control_dt": 0.1,
    "observations": [
        {
            "name": "joint_position", "term": "joint_position", "labels": ["q"], "reads": [{"sensor": "jointpos", "of": "q"}],
            "clip": None, "scale": None, "delay_s": [0, 0], "history": 1,
        }
    ],
    "actions": [{"actuator": "m", "low": -5.0, "high": 5.0, "offset": 1.0, "scale": 4.0, "rate": None, "unit": "command"}],
}  # fmt: skip


class Robot:
    """Time passes only when it sleeps, or in `read` as `costs` says."""

    def __init__(self, costs: Mapping[int, float] | None = None, value: float = 0.5) -> None:
        self.now, self.reads, self.commands, self.stops = 0.0, 0, [], 0
        self.costs, self.value = costs or {}, value

    def read(self) -> dict[str, float]:
        self.now += self.costs.get(self.reads, 0.0)
        self.reads += 1
        return {"jointpos/q": self.value}

    def write(self, command: Mapping[str, float]) -> None:
        self.commands.append(command["m"])

    def stop(self) -> None:
        self.stops += 1

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Same:
    """A policy that always gives one action."""

    def __init__(self, action: float) -> None:
        self.contract, self._action = CONTRACT, action

    def reset(self) -> None:
        pass

    def act(self, observation_n: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.array([self._action], np.float32)


def runner(program: SimpleNamespace, robot: Robot, action: float = 0.5, **options: Any) -> Any:
    return program.runner.Runner(
        Same(action), robot, clock=lambda: robot.now, sleep=robot.sleep, watchdog_s=options.pop("watchdog_s", 30), **options
    )


def test_overruns_are_counted_and_missed_ticks_are_left_out_not_caught_up_with(program: SimpleNamespace) -> None:
    # Ticks at 0, 0.1, 0.2 ...; the third one (0.2) takes 0.25 s and ends at 0.45: the tick at 0.3 is missed, that of 0.4 runs late.
    robot = Robot({2: 0.25})
    outcome = runner(program, robot).run(1.0)
    assert (outcome.ticks, outcome.overruns, outcome.missed) == (9, 1, 1)
    assert outcome.longest_s == pytest.approx(0.25)
    assert robot.now == pytest.approx(0.9)


def test_too_many_overruns_in_a_row_stop_the_robot(program: SimpleNamespace) -> None:
    robot = Robot(dict.fromkeys(range(100), 0.15))
    outcome = runner(program, robot, overruns_in_a_row=3).run(5.0)
    assert (outcome.reason, outcome.ticks, robot.stops) == ("overruns", 3, 1)


def test_a_value_that_is_not_finite_ends_the_run_before_any_command(program: SimpleNamespace) -> None:
    robot = Robot(value=float("nan"))
    outcome = runner(program, robot).run(1.0)
    assert "joint_position" in outcome.reason
    assert (robot.commands, robot.stops) == ([], 1)


def test_a_tick_that_hangs_is_stopped_by_the_watchdog_and_commands_nothing_more(program: SimpleNamespace) -> None:
    robot, stopped = Robot(), threading.Event()
    robot.stop = lambda: (stopped.set(), setattr(robot, "stops", robot.stops + 1))  # type: ignore[method-assign,assignment]
    read = robot.read

    def hang() -> dict[str, float]:
        if robot.reads == 2:
            assert stopped.wait(20)  # the watchdog acts while the read still hangs
        return read()

    robot.read = hang  # type: ignore[method-assign]
    outcome = runner(program, robot, watchdog_s=0.2).run(1.0)
    assert (outcome.reason, len(robot.commands)) == ("watchdog", 2)


def test_an_exception_of_the_robot_stops_it_and_is_not_swallowed(program: SimpleNamespace) -> None:
    robot = Robot()
    robot.read = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    with pytest.raises(ZeroDivisionError):
        runner(program, robot).run(1.0)
    assert robot.stops == 1


def test_commands_follow_the_contracts_map_limits_and_rates(program: SimpleNamespace) -> None:
    limits = program.limits.CommandLimits
    one = np.array([1.0], np.float32)
    assert limits(CONTRACT).command(0.5 * one) == {"m": 3.0}  # 1 + 4 * 0.5
    assert limits(CONTRACT).command(one) == {"m": 5.0}
    assert limits(CONTRACT, narrower={"m": (-2, 2)}).command(one) == {"m": 2.0}
    assert limits(CONTRACT, narrower={"m": (-9, 9)}).command(-2 * one) == {"m": -5.0}  # nobody can widen the contract
    slow = limits(CONTRACT, rates={"m": 20.0})  # 2 a tick of 0.1 s
    assert [slow.command(one)["m"] for _ in range(3)] == [2.0, 4.0, 5.0]
    with pytest.raises(ValueError, match="no actuator 'n'; there are: m"):
        limits(CONTRACT, narrower={"n": (-1, 1)})


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_onnx(balancing(compiled("cartpole-balance")), tmp_path_factory.mktemp("exported") / "policy.onnx")


def test_the_program_says_what_a_link_must_give(program: SimpleNamespace, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.runner.main([str(exported), "--link", "none:None", "--needs"]) == 0
    told = capsys.readouterr().out
    assert '"jointvel/hinge"' in told
    assert '"hz": 50.0' in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--link", "no_such_robot:Link"], "No module named 'no_such_robot'"),
        (["--link", "json:Link"], "no attribute 'Link'"),
        (["--link", "json:JSONDecoder", "--limit", "force"], "ACTUATOR=LOW:HIGH"),
        (["--link", "json:JSONDecoder", "--limit", "forc=-1:1"], "there are: force"),
        (["--link", "json:JSONDecoder", "--ask", "1", "0"], "2 values of a command with 0"),
    ],
)
def test_wrong_arguments_are_told_in_one_line(
    program: SimpleNamespace, exported: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        program.runner.main([str(exported), *arguments])
    assert told in capsys.readouterr().err.splitlines()[-1]


def test_a_file_that_is_no_policy_is_told_in_one_line(program: SimpleNamespace, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not an ONNX file")
    for path in (tmp_path / "nothing.onnx", broken):
        with pytest.raises(SystemExit, match=f"{path.name}: no ONNX file that can be read"):
            program.policy_file.PolicyFile(path)


LINK = """
class Link:
    def read(self): return {"jointpos/slider": 0.0, "jointpos/hinge": 0.1, "jointvel/slider": 0.0, "jointvel/hinge": 0.0}
    def write(self, command): print(command)
    def stop(self): print("stopped")
"""


def test_the_program_runs_where_there_is_nothing_but_onnxruntime_and_numpy(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "bench.py").write_text(LINK)
    absent = ("jax", "mujoco", "scipy", "onnx", "yaml", "realitygap", "realitygap_core")
    code = f"import runpy, sys; sys.modules.update(dict.fromkeys({absent})); runpy.run_path(sys.argv[0], run_name='__main__')"
    program = [str(FOLDER / "runner.py"), str(exported), "--link", "bench:Link", "--seconds", "0.04", "--watchdog", "30"]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv = {program!r}; sys.path.insert(0, {str(FOLDER)!r}); {code}"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *commands, stopped, outcome = done.stdout.splitlines()
    assert json.loads(outcome)["reason"] == "done"
    assert stopped == "stopped"
    assert 1 <= len(commands) <= 2
    assert float(commands[0].partition(": ")[2].rstrip("}")) > 0.1  # the pole leans towards +x, the cart must follow


def test_a_legged_robot_is_rehearsed_with_its_imu_and_with_what_it_is_asked_for(program: SimpleNamespace, tmp_path: Path) -> None:
    task = compiled("quadruped-velocity")
    size = sum(entry.size for entry in task.observations["policy"])
    policy = Policy.from_learner(init_learner(PPOConfig(network=LINEAR), {"policy": size, "critic": 1}, 12, 0), task)
    network = jax.tree.map(jnp.zeros_like, policy.actor.network)  # it stays at home
    policy = dataclasses.replace(policy, actor=eqx.tree_at(lambda actor: actor.network, policy.actor, network))
    file = program.policy_file.PolicyFile(export_onnx(policy, tmp_path / "policy.onnx"))
    told = program.runner.needs(file)
    assert told["asks"] == ["vx", "vy", "wz"]
    assert told["reads"][:3] == ["gyro/imu", "projected_gravity", "jointpos/front_left_roll"]

    link = program.simulated_link.SimulatedLink(task.nominal.model)
    runner = program.runner.Runner(file, link, watchdog_s=30, clock=link.clock, sleep=link.sleep)
    runner.observer.ask([0.5, 0.0, -1.0])
    assert runner.run(2.0).reason == "done"
    assert link.data.qpos[2] == pytest.approx(0.3, abs=0.02)
    link.data.qvel[3:6], link.data.qpos[3:7] = [0.0, 0.0, 2.0], [np.cos(0.1), np.sin(0.1), 0.0, 0.0]  # rolled by 0.2 rad, turning
    mujoco.mj_forward(link.model, link.data)
    seen = runner.observer.observe(link.read())
    # Rates times 0.25; gravity in the base's axes; the command, its turning rate times 0.5.
    assert_allclose(seen[:9], [0, 0, 0.5, 0, -np.sin(0.2), -np.cos(0.2), 0.5, 0.0, -0.5], atol=1e-6)


def test_the_rehearsal_takes_the_arguments_of_the_runner(
    program: SimpleNamespace, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rehearse = [str(exported), str(robots.model_path("cartpole")), "--seconds", "0.1"]
    assert program.simulated_link.main(rehearse) == 0
    assert "'hinge'" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        program.simulated_link.main([*rehearse, "--ask", "0.5"])
    assert "--ask" in capsys.readouterr().err
