"""The README's way to a robot of one's own, as it is written there, and the examples that lie in the repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
import yaml
from workbench import skills

ROOT = Path(__file__).resolve().parents[2]
ROBOTS = ROOT / "examples" / "robots"


@pytest.fixture(scope="module")
def commands() -> list[str]:
    """The lines of the shell blocks under "Your own robot", without their comments."""
    section = re.search(r"^## Your own robot\n(.*?)^## ", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert section
    blocks = re.findall(r"^```sh\n(.*?)^```", section[1], re.MULTILINE | re.DOTALL)
    return [line.partition(" # ")[0].rstrip() for block in blocks for line in block.splitlines()]


@pytest.mark.slow
def test_the_commands_of_the_readme_take_the_double_pendulum_from_a_draft_to_its_gap(commands: list[str], tmp_path: Path) -> None:
    shutil.copytree(ROBOTS, tmp_path / "examples" / "robots")
    # What takes minutes is planned alone: that its inputs are right and that there is something to do.
    lines = [line + " --dry-run" if re.match(r"skills run (identify-parameters|sim2real-)", line) else line for line in commands]
    assert sum(line.endswith("--dry-run") for line in lines) == 2
    (replayed,) = [number for number, line in enumerate(lines) if line.startswith("skills run replay-recording")]
    lines[replayed] += " --json > replayed.json"
    program = f'skills() {{ "{sys.executable}" -m realitygap.cli "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", program + "\n".join(lines)],
        cwd=tmp_path,
        env={**os.environ, "REALITYGAP_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    # The draft holds what the checked mapping says, in the same units and at the same places; the measured torques are left out there.
    folder = tmp_path / "examples" / "robots" / "double_pendulum"
    drafted, checked = (yaml.safe_load((folder / name).read_text()) for name in ("draft.yaml", "mapping.yaml"))
    assert places(checked).items() <= places(drafted).items()
    assert set(places(drafted)) - set(places(checked)) == {"tau_meas[0]", "tau_meas[1]"}

    outputs = json.loads((folder / "replayed.json").read_text())["outputs"]
    assert len(outputs["logs"]) == 4
    assert outputs["gap"]["shoulder"]["unit"] == "rad"
    assert 0 < outputs["gap"]["shoulder"]["rmse"] < 0.5
    assert 0 < outputs["gap"]["elbow"]["rmse"] < 0.5


def places(mapping: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Column of a log to what it is in the robot."""
    keys = ("role", "unit", "actuator", "joint", "quantity")
    return {entry["column"]: {key: entry.get(key) for key in keys} for entry in mapping["channels"].values()}


@pytest.mark.slow
def test_the_servo_is_replayed_as_plain_mujoco_steps_it(tmp_path: Path) -> None:
    folder = ROBOTS / "xl330"
    assert (folder / "LICENSE.txt").is_file()
    inputs = {"model": folder / "xl330.xml", "recording": folder / "xl330.npz", "mapping": folder / "mapping.yaml"}
    assigned = [part for name, path in inputs.items() for part in ("-i", f"{name}={path}")]
    done = skills(tmp_path, "run", "replay-recording", *assigned, "--json")
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stdout)["outputs"]
    assert len(outputs["logs"]) == 3
    for log in outputs["logs"]:
        error = position_error(folder, log)
        # The loop below switches a goal at the next step of the physics, up to 1 ms late; the replay does so in time.
        assert outputs["per_log"][log]["position"]["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=0.03)
    # As published for a softer gain, the data sheet's parameters err by 0.193 rad on average.
    assert outputs["gap"]["position"]["mae"] < 0.193


def position_error(folder: Path, log: str) -> np.ndarray:
    """Simulated minus recorded position at each stamp, each goal held until the next one."""
    logs = np.load(folder / "xl330.npz")
    t, goal, real = (logs[f"{log}/{name}"].astype(float) for name in ("timestamp", "goal_position", "position"))
    model = mujoco.MjModel.from_xml_path(str(folder / "xl330.xml"))
    data = mujoco.MjData(model)
    data.qpos[0] = real[0]
    times, angles = [0.0], [real[0]]
    while times[-1] < t[-1] - t[0]:
        data.ctrl[0] = goal[np.searchsorted(t - t[0], times[-1] + 1e-9, side="right") - 1]
        mujoco.mj_step(model, data)
        times.append(data.time)
        angles.append(data.qpos[0])
    return np.interp(t - t[0], times, angles) - real
