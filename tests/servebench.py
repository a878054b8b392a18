"""`skills serve`, and four small skills to call: one that takes a while, one that refuses, one that crashes, one that writes odd text."""

from __future__ import annotations

import os
import sys
from pathlib import Path

SERVE = [sys.executable, "-m", "realitygap.cli", "serve"]
SECRET = "/home/somebody/.ssh/key"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
CODE = f'''
import base64, os, time
from realitygap import InputError

def count(inputs, run):
    print("a skill that prints")
    os.write(1, b"and one that writes past Python\\n")
    for second in run.track(range(inputs["n"]), "counting"):
        time.sleep(inputs["pause_s"])
    run.artifact("notes/long.txt").write_text("äöü" * 500)
    run.artifact("dot.png").write_bytes(base64.b64decode("{PIXEL}"))
    return {{"counted": inputs["n"], "large": ["x" * 100] * 400, "summary": f"{{inputs['n']}} counted."}}

def refuse(inputs, run):
    raise InputError("the mass is -1 kg", where="robot.xml:3", hint="give 0.1 to 5 kg")

def crash(inputs, run):
    raise RuntimeError("{SECRET}")

def halve(inputs, run):
    run.artifact("halves.jsonl").write_text('{{"a": "\\\\ud800"}}')
    return {{"summary": "Written."}}
'''
MANIFEST = """\
schema: 1
name: {name}
version: 0.1.0
trit: 0
summary: {summary}
entry: slow_skills:{function}
runtime: {runtime}
effects: run
cache: false
inputs:
  n: {{type: integer, minimum: 1, default: 2, description: How far.}}
  pause_s: {{type: number, default: 0.01, x-unit: s}}
outputs:
  counted: {{type: integer, x-optional: true}}
  large: {{type: array, x-optional: true}}
  summary: {{type: string}}
"""


def environment_with_skills(tmp_path: Path) -> dict[str, str]:
    """The environment of a server with four small skills, and a home of its own."""
    (tmp_path / "slow_skills.py").write_text(CODE)
    skills = (
        ("count-slowly", "count", "long"),
        ("refuse-it", "refuse", "quick"),
        ("crash-it", "crash", "quick"),
        ("halve-it", "halve", "quick"),
    )
    for name, function, runtime in skills:
        folder = tmp_path / "skills" / name
        folder.mkdir(parents=True)
        (folder / "skill.yaml").write_text(MANIFEST.format(name=name, function=function, runtime=runtime, summary=f"Does {function}."))
    return {
        **os.environ,
        "REALITYGAP_HOME": str(tmp_path / "home"),
        "REALITYGAP_SKILLS_DIR": str(tmp_path / "skills"),
        "PYTHONPATH": str(tmp_path),
    }
