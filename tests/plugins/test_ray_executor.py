"""Steps on a real Ray cluster of this machine."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from workbench import Bench, alive, until, waiting_pid

from realitygap.cache import surroundings
from realitygap.workspace import read_json
from realitygap_plugins.executors.ray_node import Node, passed

pytest.importorskip("ray", reason="the extra ray is not installed")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables that lead to a running cluster."""
    place = tmp_path_factory.mktemp("cluster") / "ray.json"
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    command = [sys.executable, "-m", "realitygap_plugins.executors.ray_cluster", str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ | token) as process:
        assert process.stdin is not None
        found = until(lambda: read_json(place), seconds=120)
        yield {**token, "RAY_ADDRESS": found["address"], "REALITYGAP_EXECUTOR": "ray"}
        process.stdin.close()


@pytest.fixture
def on_ray(bench: Bench, cluster: dict[str, str]) -> Bench:
    bench.environment |= cluster
    return bench


def processes_of(run: str) -> list[str]:
    """Command lines of the processes that belong to a run."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"REALITYGAP_RUN={run}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_a_run_with_a_cluster_of_its_own_is_as_a_local_one_and_nothing_of_the_cluster_stays(bench: Bench) -> None:
    document = bench.json("run", "noisy", "--executor", "ray")
    assert document["outputs"] == {"text": "quiet"}
    assert document["warnings"] == ["mind the gap"]
    (folder,) = bench.folders()
    log = (folder / "steps" / "noisy" / "log.txt").read_text()
    assert all(text in log for text in ("from Python", "from C", "from a child", "on stderr"))
    assert "ray::" not in log
    until(lambda: not processes_of(document["run"]))
    # Where a step ran is no part of its key.
    assert bench.json("run", "noisy")["cached"]


@pytest.mark.slow
def test_a_worker_killed_on_a_node_is_told_as_a_local_one(on_ray: Bench) -> None:
    _, err = on_ray.run("run", "fail", "-i", "how=kill", code=3)
    assert "the process of the step was killed by SIGKILL" in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_cancel_ends_a_worker_that_does_not_listen(on_ray: Bench) -> None:
    client = on_ray.start("run", "count", *on_ray.given(to=2, wait_at=1, gate=on_ray.gate, deaf="true"), "--json")
    worker = waiting_pid(on_ray)
    on_ray.run("runs", "cancel", "last")
    assert json.loads(client.communicate(timeout=30)[0])["status"] == "cancelled"
    until(lambda: not alive(worker))


@pytest.mark.slow
def test_a_worker_on_a_node_dies_with_the_supervisor_and_resume_goes_on_from_its_checkpoint(on_ray: Bench) -> None:
    client = on_ray.start("run", "count", *on_ray.given(to=4, wait_at=2, gate=on_ray.gate), "--json")
    worker = waiting_pid(on_ray)
    (folder,) = on_ray.folders()
    os.kill(json.loads((folder / "supervisor.json").read_text())["pid"], signal.SIGKILL)
    client.communicate(timeout=30)
    until(lambda: not alive(worker))
    on_ray.gate.touch()
    assert on_ray.json("runs", "resume", "last")["status"] == "done"
    assert on_ray.lines() == ["count from 0", f"waiting {worker}", "count from 2"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "message"),
    [("ray://127.0.0.1:10001", "Ray's client is not supported"), ("127.0.0.1:9", "no Ray cluster to join at '127.0.0.1:9'")],
)
def test_an_address_where_no_cluster_is_is_told_in_one_line(bench: Bench, address: str, message: str) -> None:
    bench.environment["RAY_ADDRESS"] = address
    _, err = bench.run("run", "noisy", "--executor", "ray", code=2)
    assert message in err
    assert "Traceback" not in err


def test_a_node_objects_to_another_file_system_and_to_other_versions(tmp_path: Path) -> None:
    about = '{"id": "this-run"}'
    (tmp_path / "run.json").write_text(about)
    here = surroundings(["realitygap"], simulation=False)
    assert Node(str(tmp_path)).objection(about, here, ["realitygap"], simulation=False) is None
    elsewhere = Node(str(tmp_path / "elsewhere")).objection(about, here, ["realitygap"], simulation=False)
    assert elsewhere == f"does not share the file system: {tmp_path}/elsewhere is not there, or is another one"
    assert "does not share" in str(Node(str(tmp_path)).objection('{"id": "another"}', here, ["realitygap"], simulation=False))
    other = {"code": {"realitygap": "0" * 64}}
    objection = Node(str(tmp_path)).objection(about, other, ["realitygap"], simulation=False)
    assert objection == "differs from the machine that planned the run: code.realitygap changed"


def test_a_node_gets_no_more_of_the_environment_than_it_needs() -> None:
    outer = {"JAX_PLATFORMS": "cpu", "REALITYGAP_HOME": "/h", "PYTHONPATH": "/p", "AWS_SECRET_ACCESS_KEY": "s", "HOME": "/root"}
    assert passed(outer) == {"JAX_PLATFORMS": "cpu", "REALITYGAP_HOME": "/h", "PYTHONPATH": "/p"}


def test_an_unknown_executor_is_refused_with_the_nearest_name(bench: Bench) -> None:
    _, err = bench.run("run", "noisy", "--executor", "rya", code=2)
    assert err == "error: unknown executor 'rya'\n  hint: did you mean 'ray'?\n"
    bench.environment["REALITYGAP_EXECUTOR"] = "locla"
    assert "did you mean 'local'?" in bench.run("run", "noisy", code=2)[1]
    assert list(bench.workspace.iterdir()) == []


def test_without_the_extra_the_line_that_installs_it_is_printed(bench: Bench) -> None:
    # A finder that knows no ray, as where the extra is not installed.
    (bench.root / "code" / "sitecustomize.py").write_text(
        "import importlib.util\nfind = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, package=None: None if name == 'ray' else find(name, package)\n"
    )
    _, err = bench.run("run", "noisy", "--executor", "ray", code=2)
    assert err == "error: executor 'ray' needs the extra 'ray'\n  hint: pip install 'realitygap[ray]'\n"
    assert list(bench.workspace.iterdir()) == []
