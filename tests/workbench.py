"""Small skills made for the tests of runs, and the program `skills` in child processes that runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

QUICK = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "XLA_FLAGS": "--xla_cpu_use_fusion_emitters=false", "OPENBLAS_NUM_THREADS": "1"}
"""Settings of tests. Nearly all the time of one of JAX is compiling, which few optimisations halve; threads of OpenBLAS wait busily for
each other, a multiple of what small matrices cost, while the other worker needs the core."""


CODE = '''
import os, sys, time
from pathlib import Path

class BadInput(Exception):
    """As an exception of a library that knows nothing of the registry."""
    def __init__(self, message, where, hint):
        super().__init__(message)
        self.where, self.hint = where, hint

def note(inputs, line):
    with open(inputs["journal"], "a") as file:
        file.write(line + "\\n")

def add(inputs, run):
    note(inputs, f"add {inputs['a']}")
    run.artifact("data/sum.txt").write_text(str(inputs["a"] + inputs["b"]))
    return {"sum": inputs["a"] + inputs["b"], "file": run.artifact("data/sum.txt"), "summary": f"sum {inputs['a'] + inputs['b']} rad"}

def count(inputs, run):
    """Counts to `to` by checkpoints; waits for the gate at `wait_at` once."""
    place = run.checkpoint("state")
    done = int(place.read_text()) if place.exists() else 0
    note(inputs, f"count from {done}")
    for number in range(done + 1, inputs["to"] + 1):
        run.metric("number", number, number)
        temporary = run.checkpoint("state.tmp")
        temporary.write_text(str(number))
        temporary.rename(place)
        run.progress(number, inputs["to"], "counting")
        if number == inputs["wait_at"] and not Path(inputs["gate"]).exists():
            note(inputs, f"waiting {os.getpid()}")
            while not Path(inputs["gate"]).exists():
                if not inputs["deaf"]:
                    run.check_cancelled()
                time.sleep(0.01)
    return {"total": inputs["to"], "summary": f"counted to {inputs['to']}"}

def noisy(inputs, run):
    print("from Python")
    os.write(1, b"from C\\n")
    os.system("echo from a child")
    print("on stderr", file=sys.stderr)
    run.warn("mind the gap")
    return {"text": "quiet"}

def fail(inputs, run):
    run.metric("tries", 1, 0)
    if inputs["how"] == "input":
        run.checkpoint("state").write_text("half")
        raise BadInput("no joint 'hip_l'", "robot.xml:3:5", "did you mean 'left_hip'?")
    if inputs["how"] == "crash":
        raise ZeroDivisionError("nothing to divide by")
    if inputs["how"] == "kill":
        os.kill(os.getpid(), 9)
    if inputs["how"] == "fill":
        run.artifact("big").write_text("x")
    if inputs["how"] in ("disk", "fill"):
        raise OSError(28, "No space left on device", "/data/x")
    if inputs["how"] == "exit":
        sys.exit(0)
    if inputs["how"] == "stray":
        return {"file": "/etc/hostname"}
    if inputs["how"] == "nan":
        return {"file": float("nan")}
    if inputs["how"] == "escape":
        run.artifact("../../escaped").write_text("x")
'''

JOURNAL = "journal: {type: string}"
SKILLS = {
    "add": (
        "entry: throwaway:add",
        f"a: {{type: number}}, b: {{type: number, default: 2}}, before: {{type: string, format: path, x-optional: true}}, {JOURNAL}",
        "sum: {type: number, x-unit: rad}, file: {type: string, format: path}, summary: {type: string}",
    ),
    "count": (
        "entry: throwaway:count",
        "to: {type: integer}, wait_at: {type: integer, default: 0}, gate: {type: string, default: ''}, "
        "deaf: {type: boolean, default: false}, " + JOURNAL,
        "total: {type: integer}, summary: {type: string}",
    ),
    "noisy": ("entry: throwaway:noisy", "", "text: {type: string}"),
    "fail": ("entry: throwaway:fail", "how: {type: string}", "file: {type: string, format: path, x-optional: true}"),
    "chain": (
        'steps: [{id: first, uses: add, with: {a: 1, journal: "${{ inputs.journal }}"}}, '
        '{id: slow, uses: count, needs: [first], with: {to: 5, wait_at: "${{ inputs.wait_at }}", gate: "${{ inputs.gate }}", '
        'deaf: "${{ inputs.deaf }}", journal: "${{ inputs.journal }}"}}, '
        '{id: many, uses: add, needs: [slow], foreach: [1, 2], with: {a: "${{ item }}", b: "${{ steps.first.outputs.sum }}", '
        'before: "${{ steps.first.outputs.file }}", '
        'journal: "${{ inputs.journal }}"}}]',
        "wait_at: {type: integer, default: 0}, gate: {type: string, default: ''}, deaf: {type: boolean, default: false}, " + JOURNAL,
        'sums: "${{ steps.many.outputs.sum }}", file: "${{ steps.first.outputs.file }}", report: "${{ run.report }}"',
    ),
    "late": (
        'steps: [{id: first, uses: add, with: {a: 1, journal: "${{ inputs.journal }}"}}, '
        '{id: bad, uses: fail, needs: [first], with: {how: "${{ inputs.how }}"}}, '
        "{id: after, uses: noisy, needs: [bad]}, {id: other, uses: noisy}]",
        "how: {type: string, default: input}, " + JOURNAL,
        'sum: "${{ steps.first.outputs.sum }}"',
    ),
}


class Bench:
    """A workspace with the throw-away skills, and the program."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.workspace = root / "workspace"
        self.workspace.mkdir(parents=True)
        self.journal = root / "journal.txt"
        self.gate = root / "gate"
        (root / "code").mkdir()
        (root / "code" / "throwaway.py").write_text(CODE)
        for name, (body, inputs, outputs) in SKILLS.items():
            folder = root / "skills" / name
            folder.mkdir(parents=True)
            head = f"schema: 1\nname: {name}\nversion: 0.1.0\ntrit: {int(name == 'add')}\nsummary: For a test.\n"
            (folder / "skill.yaml").write_text(head + f"{body}\ninputs: {{{inputs}}}\noutputs: {{{outputs}}}\n")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("REALITYGAP", "SKILLS"))},
            "PYTHONPATH": str(root / "code"),
            "REALITYGAP_SKILLS_DIR": str(root / "skills"),
            "XDG_CACHE_HOME": str(root / "xdg"),
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        # A background job of a shell ignores Ctrl-C, and so would its children; a terminal's does not.
        code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from realitygap.cli import main; main()"
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=self.workspace,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=180)
        assert process.returncode == code, f"{process.returncode}\n{out}\n{err}"
        return out, err

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code)[0])

    def given(self, **inputs: Any) -> list[str]:
        values = {"journal": self.journal, **inputs}
        return [part for name, value in values.items() for part in ("-i", f"{name}={value}")]

    def lines(self) -> list[str]:
        return self.journal.read_text().splitlines() if self.journal.exists() else []

    def folders(self) -> list[Path]:
        return sorted((self.workspace / ".skills" / "runs").glob("*/"))


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Waits for a condition; the time is only there to end a test that would hang."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
    return value


def waiting_pid(bench: Bench) -> int:
    found: str = until(lambda: next((line for line in reversed(bench.lines()) if line.startswith("waiting")), None))
    return int(found.split()[1])


def endless(path: Path) -> Path:
    """A file of a terabyte of zeros, which takes no room and minutes to read."""
    path.touch()
    os.truncate(path, 1 << 40)
    return path


def reads(pid: int, name: str) -> bool:
    """Whether a process has a file of that name open."""
    try:
        return any(os.readlink(one).endswith(name) for one in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def skills(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program with its runs in `home`."""
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "realitygap.cli", *arguments],
        cwd=home,
        env={**os.environ, "REALITYGAP_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
