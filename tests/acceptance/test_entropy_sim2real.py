"""The main job on real logs: as a user runs it, without arguments, and as an assistant does through the SDK's client.

In one file, which a parallel run of the tests keeps in one process, so the main job runs once.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.types import ImageContent
from workbench import QUICK, skills

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

ROOT = Path(__file__).parents[2]
PROMISED = {
    "gap_nominal", "gap_identified", "noise_floor", "parameters", "entropy_before", "entropy_after", "success_rate", "success_interval",
    "diagnosis", "triads", "policy", "report",
}  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A finished command."""

    home: Path
    """Where its runs lie."""
    document: dict[str, Any]
    """What it printed on stdout: one JSON document."""


@pytest.fixture(scope="module", autouse=True)
def optimised() -> Iterator[None]:
    """Here programs are what they are for a user."""
    with pytest.MonkeyPatch.context() as patch:
        for name in QUICK:
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def main_job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The main job on the embedded default, run once."""
    home = tmp_path_factory.mktemp("main-job")
    done = skills(home, "run", "entropy-sim2real", "--json")
    assert done.returncode == 0, done.stderr
    return Job(home, json.loads(done.stdout))


def test_the_main_job_keeps_every_promise_of_its_document(main_job: Job) -> None:
    document = main_job.document
    assert set(document) == {"run", "skill", "status", "seconds", "cached", "outputs", "artifacts", "warnings", "error"}
    assert document["status"] == "done"
    assert document["error"] is None
    assert set(document["outputs"]) >= PROMISED


def test_the_gap_on_logs_not_used_for_fitting_falls_below_the_bar(main_job: Job) -> None:
    outputs = main_job.document["outputs"]
    assert outputs["gap_nominal"]["theta"]["rmse"] == pytest.approx(0.50, abs=0.01)
    assert outputs["gap_nominal"]["alpha"]["rmse"] == pytest.approx(0.41, abs=0.01)
    assert outputs["gap_identified"]["theta"]["rmse"] <= 0.05
    assert outputs["gap_identified"]["alpha"]["rmse"] <= 0.025
    found = {(finding["kind"], finding["target"]) for finding in outputs["structure"]}
    assert found >= {("stiffness", "arm"), ("delay", "motor")}
    assert outputs["parameters"]["delay[motor]"]["low"] > 0
    for parameter in outputs["parameters"].values():
        assert parameter["low"] <= parameter["value"] <= parameter["high"]
    assert outputs["entropy_after"] < outputs["entropy_before"]


def test_the_policy_swings_up_and_balances_on_fresh_draws(main_job: Job) -> None:
    outputs = main_job.document["outputs"]
    assert outputs["trials"] == 256
    assert outputs["success_rate"] >= 0.9
    low, high = outputs["success_interval"]
    assert low <= outputs["success_rate"] <= high


def test_the_pseudo_real_robot_is_judged_apart_and_its_rate_is_reported_with_its_interval(main_job: Job) -> None:
    pseudo_real = main_job.document["outputs"]["pseudo_real"]
    assert pseudo_real["trials"] == 64
    low, high = pseudo_real["success_interval"]
    assert 0 <= low <= pseudo_real["success_rate"] <= high <= 1
    # The rate is a share of the trials, and every trial that is not in it has its reason.
    assert pseudo_real["success_rate"] * 64 + sum(pseudo_real["failures"].values()) == pytest.approx(64)


def test_no_claim_about_the_trits_of_the_pipeline_is_false(main_job: Job) -> None:
    outputs = main_job.document["outputs"]
    trits = {row["step"]: row["trit"] for row in outputs["step_trits"]}
    # import, identify and adapt coordinate, randomize and train generate, the other five validate: 0 + 2 - 5.
    assert list(trits) == ["import", "replay", "compare", "identify", "randomize", "adapt", "train", "validate", "diagnose", "triads"]
    assert outputs["step_sum"] == sum(trits.values()) == -3
    assert outputs["triads"]
    assert [verdict["claim"] for verdict in outputs["triads"] if verdict["truth"] == "false"] == []


def test_the_domain_is_no_narrower_than_the_intervals_of_the_identification(main_job: Job) -> None:
    from realitygap.document import load
    from realitygap_core.domain import Domain

    outputs = main_job.document["outputs"]
    domain = Domain.from_mapping(load(Path(outputs["domain"])).data)
    for name, parameter in outputs["parameters"].items():
        low, high = domain.interval(name)
        assert high >= parameter["high"] * (1 - 1e-6) - 1e-12, name
        # No continuous density on [0, ...) has its lower quantile at 0 itself, so there an end at zero, or nearly, counts as held.
        at_zero = domain.parameters[name].support[0] == 0 and 0 <= parameter["low"] <= 0.05 * parameter["high"]
        assert at_zero or low <= parameter["low"] + max(1e-12, 1e-6 * abs(parameter["low"])), name


def test_running_it_again_is_a_hit_in_every_step_and_changes_nothing(main_job: Job) -> None:
    again = json.loads(skills(main_job.home, "run", "entropy-sim2real", "--json").stdout)
    assert again["cached"] is True
    for name in ("gap_identified", "parameters", "success_rate", "diagnosis"):
        assert again["outputs"][name] == main_job.document["outputs"][name]
    plan = skills(main_job.home, "run", "entropy-sim2real", "--dry-run").stdout
    assert re.search(r"^HIT +train ", plan, re.MULTILINE), plan


# Says in the page itself, once everything has loaded, how large each picture became: an image that cannot be decoded has width 0.
MEASURE = """<script>addEventListener("load", () => {
  const sizes = {
    images: [...document.images].map((image) => image.naturalWidth * image.naturalHeight),
    curves: [...document.querySelectorAll("svg path, svg polyline")].map((line) => line.getTotalLength()),
  };
  const place = document.createElement("pre");
  place.id = "sizes";
  place.textContent = JSON.stringify(sizes);
  document.body.append(place);
})</script></body>"""


def sizes_in_a_browser(browser: str, page: str, folder: Path) -> tuple[dict[str, list[float]], str]:
    """The areas of the images and the lengths of the curves that a browser makes of a page, and the document as it then stands."""
    assert page.count("</body>") == 1
    (folder / "page.html").write_text(page.replace("</body>", MEASURE), encoding="utf-8")
    flags = [
        "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", "--virtual-time-budget=5000", f"--user-data-dir={folder / 'profile'}",
    ]  # fmt: skip
    command = [browser, *flags, "--dump-dom", f"file://{folder / 'page.html'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    measured = re.search(r'<pre id="sizes">(.*?)</pre>', done.stdout)
    assert measured, done.stderr[-500:]
    return json.loads(measured[1]), done.stdout


@pytest.fixture
def browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        assert "CI" not in os.environ, "no browser on this machine; in CI the report must be looked at"
        pytest.skip("no browser on this machine")
    return found


def test_a_picture_that_cannot_be_decoded_is_seen_as_broken(browser: str, tmp_path: Path) -> None:
    good = "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHdpZHRoPSI0IiBoZWlnaHQ9IjMiLz4="
    page = f'<!doctype html><body><img src="{good}"><img src="data:image/svg+xml;base64,PHN2Zz"></body>'
    assert sizes_in_a_browser(browser, page, tmp_path)[0]["images"] == [12, 0]


def test_the_report_has_the_curves_the_rewards_and_a_film_of_the_policy(main_job: Job) -> None:
    text = Path(main_job.document["outputs"]["report"]).read_text(encoding="utf-8")
    train, validate = (re.search(rf'<section id="{step}">.*?</section>', text, re.DOTALL) for step in ("train", "validate"))
    assert train
    assert {"training", "rewards"} <= set(re.findall(r"<figcaption>(.*?)</figcaption>", train[0]))
    assert "<polyline" in train[0]
    assert validate
    assert 'src="data:image/gif;base64,' in validate[0]


def test_the_report_shows_its_plots_in_a_browser(main_job: Job, browser: str, tmp_path: Path) -> None:
    text = Path(main_job.document["outputs"]["report"]).read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["']https?:""", text), "the report must not load anything"
    sizes, shown = sizes_in_a_browser(browser, text, tmp_path)
    assert len(sizes["images"]) >= 8
    assert min(sizes["images"]) > 0
    assert max(sizes["curves"]) > 0, "the training's curves"
    for step in ("replay", "compare", "identify", "adapt", "train", "validate", "diagnose"):
        assert f">{step}" in shown


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


def test_an_assistant_closes_the_gap_through_run_handles(main_job: Job) -> None:
    # In the home of the main job: what precedes the training is a hit there, so this costs a short training alone.
    environment = {**os.environ, "REALITYGAP_HOME": str(main_job.home)}
    parameters = StdioServerParameters(command=sys.executable, args=["-m", "realitygap.cli", "serve"], env=environment)

    async def talk() -> None:
        async with Client(parameters) as client:

            async def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
                answer = await client.call_tool(tool, arguments)
                assert not answer.is_error, answer.content
                document: dict[str, Any] = answer.structured_content or {}
                return document

            # A short training: whether the policy succeeds is another test's business.
            document = await call("entropy_sim2real", {"env_steps": 20_000, "trials": 8, "wait_s": 1})
            run_id = document["run_id"]
            assert document["state"] == "running"
            seen = [document["progress"]["fraction"] or 0.0]
            with anyio.fail_after(840):
                while document["state"] == "running":
                    follow = document["next_steps"][0]
                    assert follow["tool"] == "run_status"
                    document = await call("run_status", {**follow["arguments"], "wait_s": 20})
                    if document["state"] == "running":
                        seen.append(document["progress"]["fraction"] or 0.0)
            assert seen == sorted(seen)
            assert document["state"] == "done"
            assert set(document["outputs"]) | set(document.get("omitted", {})) >= PROMISED
            outputs = document["outputs"]
            for channel, gap in outputs["gap_identified"].items():
                assert gap["rmse"] < outputs["gap_nominal"][channel]["rmse"]
            low, high = outputs["success_interval"]
            assert 0 <= low <= outputs["success_rate"] <= high <= 1
            assert outputs["entropy_after"] < outputs["entropy_before"]

            plot = next(name for name in document["artifacts"] if name.endswith(".png"))
            (image,) = (await client.call_tool("artifact_read", {"run_id": run_id, "name": plot})).content
            assert isinstance(image, ImageContent)

            # The same call again is answered at once, from the cache.
            again = await call("entropy_sim2real", {"env_steps": 20_000, "trials": 8, "wait_s": 50})
            assert again["state"] == "done"
            assert again["outputs"]["parameters"] == outputs["parameters"]

    anyio.run(talk)


ASSISTANT = ROOT / "examples" / "assistant.py"


def assistant() -> Any:
    spec = importlib.util.spec_from_file_location("assistant", ASSISTANT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_of_a_transcript_figures_and_run_ids_may_differ_and_words_may_not() -> None:
    shape = assistant().shape
    assert shape("It lists 22 tools.") != shape("It lists 20 tools.")
    assert shape("2026-11-20T10-00-00-123-abc: 0.5 rad, 1e-3 s") == shape("2027-01-02T11-30-01-456-def: 12 rad, 7 s")
    assert shape("`run_status` 3") != shape("`run_result` 3")


def test_the_transcript_in_the_documentation_is_what_the_assistant_makes_of_real_calls(main_job: Job) -> None:
    # In the home of the main job, and after the test before: what precedes the second training is a hit there.
    done = subprocess.run(
        [sys.executable, str(ASSISTANT), "--env-steps", "20000", "--trials", "8"],
        capture_output=True,
        text=True,
        env={**os.environ, "REALITYGAP_HOME": str(main_job.home)},
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    shape = assistant().shape
    kept = (ROOT / "docs" / "transcript.md").read_text(encoding="utf-8")
    assert shape(done.stdout) == shape(kept), "python examples/assistant.py > docs/transcript.md makes it anew"
