"""Runs from the outside: the program `skills` in child processes, with the small skills of `workbench`."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from workbench import CODE, Bench, alive, endless, reads, until, waiting_pid

from realitygap.new_run import new_id
from realitygap.run_index import RunIndex
from realitygap.stepstore import is_intact
from realitygap.workspace import read_json, write_json


def test_the_document_of_a_run_has_exactly_the_promised_keys_and_stdout_nothing_else(bench: Bench) -> None:
    document = bench.json("run", "noisy")
    assert list(document) == ["run", "skill", "status", "seconds", "cached", "outputs", "artifacts", "warnings", "error"]
    assert document["status"] == "done"
    assert document["outputs"] == {"text": "quiet"}
    assert document["warnings"] == ["mind the gap"]
    assert document["error"] is None
    log = (bench.folders()[0] / "steps" / "noisy" / "log.txt").read_text()
    assert all(text in log for text in ("from Python", "from C", "from a child", "on stderr"))


def test_a_second_run_is_a_hit_and_each_run_keeps_its_own_copy(bench: Bench) -> None:
    first = bench.json("run", "chain", *bench.given())
    assert first["outputs"]["sums"] == [4, 5]
    second = bench.json("run", "chain", *bench.given())
    assert (first["cached"], second["cached"]) == (False, True)
    assert bench.lines().count("add 1") == 2  # first and many.0 of the first run, nothing of the second
    copies = [marker.parent for marker in (bench.folders()[-1] / "steps").glob("*/step.json")]
    assert len(copies) == 4
    assert all(is_intact(copy, json.loads((copy / "step.json").read_text())["key"]) for copy in copies)
    inputs = json.loads((bench.folders()[-1] / "steps" / "many.0" / "inputs.json").read_text())
    assert second["run"] in inputs["before"], "the copy names this run's files"
    out, _ = bench.run("runs", "prune", "--keep", "1")
    assert out.split() == [first["run"]]
    path = Path(second["outputs"]["file"])
    assert second["run"] in str(path)
    assert path.read_text() == "3"
    assert bench.json("run", "chain", *bench.given())["cached"]


def test_a_good_result_is_found_behind_any_number_of_damaged_ones(bench: Bench) -> None:
    first = bench.json("run", "add", *bench.given(a=1))
    step = bench.folders()[0] / "steps" / "add"
    facts = json.loads((step / "step.json").read_text())
    home = bench.workspace / ".skills"
    for number in range(21):
        RunIndex(home).put_step(home / "runs" / f"gone-{number}" / "steps" / "add", {**facts, "run": f"gone-{number}", "finished": 4e9})
    again = bench.json("run", "add", *bench.given(a=1))
    assert again["cached"]
    assert again["outputs"]["sum"] == first["outputs"]["sum"]


def test_a_damaged_result_is_a_miss(bench: Bench) -> None:
    first = bench.json("run", "add", *bench.given(a=1))
    Path(first["outputs"]["file"]).write_text("7")
    assert "damaged" in bench.run("run", "add", *bench.given(a=1), "--dry-run")[0]
    again = bench.json("run", "add", *bench.given(a=1))
    assert not again["cached"]
    assert Path(again["outputs"]["file"]).read_text() == "3"


def test_dry_run_and_explain_name_the_part_that_changed_and_write_nothing(bench: Bench) -> None:
    assert bench.run("run", "add", *bench.given(a=1), "--dry-run")[0].split() == ["RUN", "add", "no", "earlier", "result"]
    assert not (bench.workspace / ".skills").exists()
    bench.run("run", "add", *bench.given(a=1))
    assert bench.run("run", "add", *bench.given(a=1), "--dry-run")[0].startswith("HIT  add  from run ")
    assert bench.run("run", "add", *bench.given(a=4), "--dry-run")[0] == "RUN  add  inputs.a: 1 -> 4\n"
    assert "seed: 0 -> 3" in bench.run("run", "add", *bench.given(a=1), "--seed", "3", "--explain", "add")[0]
    (bench.root / "code" / "throwaway.py").write_text(CODE + "\n# changed\n")
    assert "code.throwaway changed" in bench.run("run", "add", *bench.given(a=1), "--dry-run")[0]
    assert len(bench.folders()) == 1


def test_no_cache_and_refresh_run_again(bench: Bench) -> None:
    bench.run("run", "add", *bench.given(a=1))
    assert not bench.json("run", "add", *bench.given(a=1), "--no-cache")["cached"]
    assert not bench.json("run", "add", *bench.given(a=1), "--refresh", "add")["cached"]
    assert len(bench.lines()) == 3
    assert "did you mean 'add'" in bench.run("run", "add", *bench.given(a=1), "--refresh", "ad", code=2)[1]


@pytest.mark.parametrize("victim", ["supervisor", "worker"])
def test_after_kill_9_resume_repeats_no_finished_step_and_finds_the_checkpoint(bench: Bench, victim: str) -> None:
    client = bench.start("run", "chain", *bench.given(wait_at=3, gate=bench.gate), "--json")
    worker = waiting_pid(bench)
    (folder,) = bench.folders()
    supervisor = json.loads((folder / "supervisor.json").read_text())["pid"]
    os.kill(supervisor if victim == "supervisor" else worker, signal.SIGKILL)
    out, _ = client.communicate(timeout=30)
    assert client.returncode == 3
    assert json.loads(out)["status"] == ("interrupted" if victim == "supervisor" else "failed")
    until(lambda: not alive(worker))
    bench.gate.touch()
    document = bench.json("runs", "resume", "last")
    assert document["status"] == "done"
    assert document["run"] == folder.name
    assert bench.lines() == ["add 1", "count from 0", f"waiting {worker}", "count from 3", "add 1", "add 2"]
    rows = [json.loads(line) for line in (folder / "steps" / "slow" / "metrics.jsonl").read_text().splitlines()]
    assert [row["value"] for row in rows] == [1, 2, 3, 4, 5]
    assert not list((folder.parent.parent / "checkpoints").iterdir())


def test_the_same_command_after_a_kill_goes_on_from_the_checkpoint_too(bench: Bench) -> None:
    client = bench.start("run", "count", *bench.given(to=5, wait_at=2, gate=bench.gate))
    worker = waiting_pid(bench)
    os.kill(worker, signal.SIGKILL)
    client.communicate(timeout=30)
    bench.gate.touch()
    assert bench.json("run", "count", *bench.given(to=5, wait_at=2, gate=bench.gate))["status"] == "done"
    assert bench.lines()[-1] == "count from 2"


@pytest.mark.parametrize("deaf", ["false", "true"])
def test_cancel_stops_within_two_seconds_also_a_step_that_does_not_listen(bench: Bench, deaf: str) -> None:
    client = bench.start("run", "chain", *bench.given(wait_at=3, gate=bench.gate, deaf=deaf), "--json")
    worker = waiting_pid(bench)
    out, _ = bench.run("runs", "cancel", "last")
    assert out.split()[1] == "cancelled"
    assert not alive(worker)
    document = json.loads(client.communicate(timeout=30)[0])
    assert client.returncode == 130
    assert document["status"] == "cancelled"
    events = [json.loads(line) for line in (bench.folders()[0] / "events.jsonl").read_text().splitlines()]
    asked = next(event["t"] for event in events if event["event"] == "stop-requested")
    assert events[-1]["event"] == "run-ended"
    assert events[-1]["t"] - asked < 2.0


def test_cancel_stops_a_run_that_still_reads_its_inputs(bench: Bench) -> None:
    client = bench.start("run", "add", *bench.given(a=1, before=endless(bench.root / "log.bin")), "--json")

    def owner() -> int | None:
        """The supervisor, once it reads the file."""
        found = [read_json(folder / "supervisor.json") for folder in bench.folders()]
        return next((one["pid"] for one in found if one and reads(one["pid"], "log.bin")), None)

    until(owner)
    out, _ = bench.run("runs", "cancel", "last")
    assert out.split()[1] == "cancelled"
    document = json.loads(client.communicate(timeout=30)[0])
    assert (client.returncode, document["status"]) == (130, "cancelled")
    assert bench.lines() == []
    client = bench.start("runs", "resume", document["run"], "--json")
    os.kill(until(owner), signal.SIGTERM)  # of a shutdown: nobody has said why
    document = json.loads(client.communicate(timeout=30)[0])
    assert (client.returncode, document["status"]) == (130, "interrupted")


def test_ctrl_c_interrupts_the_run_and_it_can_be_resumed(bench: Bench) -> None:
    client = bench.start("run", "chain", *bench.given(wait_at=3, gate=bench.gate), "--json")
    waiting_pid(bench)
    client.send_signal(signal.SIGINT)
    document = json.loads(client.communicate(timeout=30)[0])
    assert client.returncode == 130
    assert document["status"] == "interrupted"
    assert f"skills runs resume {document['run']}" in document["error"]["hint"]
    bench.gate.touch()
    assert bench.json("runs", "resume", document["run"])["outputs"]["sums"] == [4, 5]


def test_a_run_outlives_the_terminal_that_started_it(bench: Bench) -> None:
    client = bench.start("run", "chain", *bench.given(wait_at=3, gate=bench.gate))
    waiting_pid(bench)
    client.kill()
    client.communicate(timeout=30)
    assert bench.json("runs", "show", "last")["state"] == "running"
    bench.run("runs", "resume", "last", code=2)
    bench.gate.touch()
    until(lambda: bench.json("runs", "show", "last")["state"] == "done")


def test_bad_input_in_the_first_step_leaves_nothing_and_exits_2(bench: Bench) -> None:
    out, err = bench.run("run", "fail", "-i", "how=input", code=2)
    assert out == ""
    assert err == "error: robot.xml:3:5: no joint 'hip_l'\n  hint: did you mean 'left_hip'?\n"
    assert list(bench.workspace.iterdir()) == []


def test_bad_input_after_a_finished_step_fails_the_run_and_keeps_it(bench: Bench) -> None:
    document = bench.json("run", "late", *bench.given(), code=3)
    assert document["error"]["message"] == "step 'bad': no joint 'hip_l'"
    states = {step["id"]: step["state"] for step in bench.json("runs", "show", "last")["steps"]}
    assert states == {"first": "done", "bad": "failed", "after": "skipped"}


def test_keep_going_runs_what_does_not_depend_on_the_failure(bench: Bench) -> None:
    bench.json("run", "late", *bench.given(how="crash"), "--keep-going", code=3)
    states = {step["id"]: step["state"] for step in bench.json("runs", "show", "last")["steps"]}
    assert states == {"first": "done", "bad": "failed", "after": "skipped", "other": "done"}


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("crash", 3, "ZeroDivisionError: nothing to divide by"),
        ("kill", 3, "the process of the step was killed by SIGKILL"),
        ("exit", 3, "SystemExit: 0"),
        ("stray", 3, "output 'file' is a path outside of the step's artifacts: /etc/hostname"),
        ("nan", 3, "output 'file' is nan"),
        ("escape", 3, "'../../escaped' is not a name inside the step's folder"),
    ],
)
def test_a_step_that_fails_is_told_in_one_line_without_a_traceback(bench: Bench, how: str, code: int, message: str) -> None:
    _, err = bench.run("run", "fail", "-i", f"how={how}", code=code)
    assert message in err
    assert "Traceback" not in err


def test_a_full_disk_leaves_a_run_that_can_be_resumed(bench: Bench) -> None:
    document = bench.json("run", "fail", "-i", "how=disk", code=3)
    assert document["status"] == "interrupted"
    assert document["error"]["message"] == "the disk is full"
    assert f"skills runs resume {document['run']}" in document["error"]["hint"]


def test_a_lost_or_damaged_index_is_built_again_from_the_folders(bench: Bench) -> None:
    ids = {bench.json("run", "add", *bench.given(a=number))["run"] for number in (1, 2)}
    index = bench.workspace / ".skills" / "index.sqlite"
    for damage in (index.unlink, lambda: index.write_bytes(b"not a database" * 1000)):
        damage()
        for suffix in ("-wal", "-shm"):
            index.with_name(index.name + suffix).unlink(missing_ok=True)
        assert {row["run"] for row in bench.json("runs")} == ids
        assert bench.run("run", "add", *bench.given(a=2), "--dry-run")[0].startswith("HIT")
    with sqlite3.connect(index) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_two_jobs_run_at_the_same_time(bench: Bench) -> None:
    folder = bench.root / "skills" / "pair"
    folder.mkdir()
    step = '{{id: {id}, uses: count, with: {{to: 1, wait_at: 1, gate: "{gate}", journal: "{journal}"}}}}'
    steps = ", ".join(step.format(id=name, gate=bench.gate, journal=bench.journal) for name in ("left", "right"))
    (folder / "skill.yaml").write_text(
        f"schema: 1\nname: pair\nversion: 0.1.0\ntrit: 0\nsummary: Two.\nsteps: [{steps}]\ninputs: {{}}\n"
        'outputs: {total: "${{ steps.left.outputs.total }}"}\n'
    )
    client = bench.start("run", "pair", "--jobs", "2", "--json")
    until(lambda: sum(line.startswith("waiting") for line in bench.lines()) == 2)
    bench.gate.touch()
    assert json.loads(client.communicate(timeout=30)[0])["status"] == "done"


def test_inputs_come_from_stdin_and_an_unknown_one_is_refused_with_the_nearest_name(bench: Bench) -> None:
    process = subprocess.run(
        [sys.executable, "-c", "from realitygap.cli import main; main()", "run", "add", "--inputs", "-", "--json"],
        cwd=bench.workspace,
        env=bench.environment,
        input=json.dumps({"a": 1, "journal": str(bench.journal)}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert json.loads(process.stdout)["outputs"]["sum"] == 3
    document = bench.json("run", "add", *bench.given(a=1, bb=2), code=2)
    assert document["run"] is None
    assert document["error"]["hint"] == "did you mean 'b'?"


def test_human_output_is_a_line_for_each_step_and_the_report(bench: Bench) -> None:
    out, err = bench.run("run", "chain", *bench.given())
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == ["first", "slow", "many.0", "many.1", "report"]
    assert lines[0] == "first   sum 3 rad"
    assert err == ""
    report = bench.workspace / lines[-1].split()[1]
    # `many` is one step that was executed twice.
    assert "+2, 2 modulo 3" in report.read_text()


def test_the_process_of_the_runs_api_imports_nothing_heavy(bench: Bench) -> None:
    code = """
        import sys
        from realitygap import runs
        handle = runs.start("add", {"a": 1, "journal": sys.argv[1]})
        assert handle.wait(30).state == "done"
        assert handle.result()["outputs"]["sum"] == 3
        assert handle.status().progress == 1.0
        assert not {"jax", "mujoco", "numpy", "throwaway"} & set(sys.modules)
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(bench.journal)],
        cwd=bench.workspace,
        env=bench.environment,
        check=True,
        timeout=60,
    )


def test_the_supervisor_imports_neither_yaml_nor_jsonschema(bench: Bench) -> None:
    code = (
        "import sys, realitygap.supervisor, realitygap.report; "
        "assert not {'yaml', 'jsonschema', 'jsonschema_rs', 'click', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], env=bench.environment, check=True, timeout=60)


def test_ids_sort_as_their_runs_began_also_within_a_second() -> None:
    began = [1_700_000_000 + milliseconds / 1000 for milliseconds in (0, 9, 90, 900, 1000, 1001)]
    ids = [new_id(now) for now in began]
    assert ids == sorted(ids)
    assert len({one.rpartition("-")[2] for one in ids}) == len(ids)


def test_threads_that_write_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    def write(number: int) -> None:
        for _ in range(200):
            write_json(tmp_path / "stop.json", {"as": number}, durable=False)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert read_json(tmp_path / "stop.json")["as"] in range(8)
    assert [one.name for one in tmp_path.iterdir()] == ["stop.json"]


def test_a_report_that_cannot_be_written_costs_a_warning_that_tells_no_path(bench: Bench) -> None:
    client = bench.start("run", "count", *bench.given(to=2, wait_at=1, gate=bench.gate), "--json")
    waiting_pid(bench)
    (bench.folders()[0] / "report.html").mkdir()
    bench.gate.touch()
    document = json.loads(client.communicate(timeout=30)[0])
    assert document["status"] == "done"
    assert document["warnings"] == ["the report could not be written: IsADirectoryError"]
