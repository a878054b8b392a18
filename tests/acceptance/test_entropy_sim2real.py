"""The main job as a user runs it: `skills run entropy-sim2real` on real logs, without arguments."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from workbench import skills

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

PROMISED = {
    "gap_nominal", "gap_identified", "noise_floor", "parameters", "entropy_before", "entropy_after", "success_rate", "success_interval",
    "diagnosis", "triads", "policy", "report",
}  # fmt: skip


def test_the_main_job_keeps_every_promise_of_its_document(main_job: Any) -> None:
    document = main_job.document
    assert set(document) == {"run", "skill", "status", "seconds", "cached", "outputs", "artifacts", "warnings", "error"}
    assert document["status"] == "done"
    assert document["error"] is None
    assert set(document["outputs"]) >= PROMISED


def test_the_gap_on_logs_not_used_for_fitting_falls_below_the_bar(main_job: Any) -> None:
    outputs = main_job.document["outputs"]
    assert outputs["gap_nominal"]["theta"]["rmse"] == pytest.approx(0.50, abs=0.01)
    assert outputs["gap_nominal"]["alpha"]["rmse"] == pytest.approx(0.41, abs=0.01)
    assert outputs["gap_identified"]["theta"]["rmse"] <= 0.05
    assert outputs["gap_identified"]["alpha"]["rmse"] <= 0.025
    assert ("stiffness", "arm") in {(finding["kind"], finding["target"]) for finding in outputs["structure"]}
    assert outputs["parameters"]["delay[motor]"]["low"] > 0
    for parameter in outputs["parameters"].values():
        assert parameter["low"] <= parameter["value"] <= parameter["high"]
    assert outputs["entropy_after"] < outputs["entropy_before"]


def test_the_policy_swings_up_and_balances_on_fresh_draws(main_job: Any) -> None:
    outputs = main_job.document["outputs"]
    assert outputs["success_rate"] >= 0.9
    low, high = outputs["success_interval"]
    assert low <= outputs["success_rate"] <= high


def test_the_domain_is_no_narrower_than_the_intervals_of_the_identification(main_job: Any) -> None:
    from realitygap.document import load
    from realitygap_core.domain import Domain

    outputs = main_job.document["outputs"]
    domain = Domain.from_mapping(load(Path(outputs["domain"])).data)
    for name, parameter in outputs["parameters"].items():
        low, high = domain.interval(name)
        assert high >= parameter["high"] * (1 - 1e-6) - 1e-12, name
        # No continuous density on [0, ...) has its lower quantile at 0 itself.
        assert low <= parameter["low"] + max(1e-12, 1e-6 * abs(parameter["low"])) or parameter["low"] <= 0.05 * parameter["high"], name


def test_running_it_again_is_a_hit_in_every_step_and_changes_nothing(main_job: Any) -> None:
    again = json.loads(skills(main_job.home, "run", "entropy-sim2real", "--json").stdout)
    assert again["cached"] is True
    for name in ("gap_identified", "parameters", "success_rate", "diagnosis"):
        assert again["outputs"][name] == main_job.document["outputs"][name]
    plan = skills(main_job.home, "run", "entropy-sim2real", "--dry-run").stdout
    assert re.search(r"^HIT +train ", plan, re.MULTILINE), plan


def test_the_report_shows_its_plots_in_a_browser(main_job: Any, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no browser on this machine")
    report = Path(main_job.document["outputs"]["report"])
    text = report.read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["']https?:""", text), "the report must not load anything"
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
    ]
    done = subprocess.run(
        [browser, *flags, "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom", f"file://{report}"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    figures = done.stdout.count("<img") + done.stdout.count("<svg")
    assert figures >= 8, done.stderr[-500:]
    for step in ("replay", "compare", "identify", "adapt", "train", "validate", "diagnose"):
        assert f">{step}" in done.stdout


def test_a_training_killed_in_the_middle_resumes_to_the_policy_of_an_uninterrupted_one(tmp_path: Path) -> None:
    training = ("train-policy", "-i", "task=cartpole-balance", "-i", "env_steps=80000", "-i", "num_envs=64", "-i", "checkpoint_every=5")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    expected = json.loads(skills(whole, "run", *training, "--json").stdout)
    assert expected["status"] == "done"

    detached = skills(broken, "run", *training, "--detach")
    assert detached.returncode == 0, detached.stderr
    deadline = time.monotonic() + 300
    while not list(broken.rglob("checkpoint.npz")):
        assert time.monotonic() < deadline, "no checkpoint appeared"
        time.sleep(0.1)
    victims = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and _belongs(p, broken)]
    assert victims
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    shown = skills(broken, "runs", "show", "last", "--json").stdout
    assert json.loads(shown)["state"] == "interrupted", shown

    resumed = json.loads(skills(broken, "runs", "resume", "last", "--json").stdout)
    assert resumed["status"] == "done"
    assert resumed["outputs"]["digest"] == expected["outputs"]["digest"]


def _belongs(process: Path, home: Path) -> bool:
    """Whether a process works for the runs in `home`: supervisor and workers carry it in their environment."""
    try:
        return f"REALITYGAP_HOME={home}".encode() in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
