"""Skill `import-recording`."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import realitygap_core
from realitygap.context import RunContext
from realitygap.errors import InputError
from realitygap_core.errors import CoreError
from realitygap_core.recording import Recording
from realitygap_plugins.system_id.recordings import import_recording

QUBE = Path(realitygap_core.__file__).parent / "robots" / "qube"

MAPPING = """schema: 1
time: {column: t, unit: s}
channels:
  q: {column: q, role: sensor, unit: deg, joint: arm, guess: true}
"""


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "walk.csv"
    path.write_text("t,q\n" + "".join(f"{k * 0.01},{k}\n" for k in range(50)))
    return path


def _mapping(tmp_path, text=MAPPING):
    path = tmp_path / "mapping.yaml"
    path.write_text(text)
    return str(path)


def test_a_raw_log_becomes_a_recording_in_the_artifacts(tmp_path, source):
    run = RunContext(folder=tmp_path / "step")
    outputs = import_recording({"source": str(source), "mapping": _mapping(tmp_path), "model": str(QUBE / "qube.xml")}, run)
    assert Path(outputs["recording"]).is_relative_to(tmp_path / "step" / "artifacts")
    assert Recording.open(outputs["recording"]).log_names == ("walk",)
    assert outputs["logs"] == ["walk"]
    assert outputs["channels"] == [{"name": "q", "role": "sensor", "unit": "rad", "quantity": "position", "joint": "arm"}]
    assert outputs["findings"] == []
    assert outputs["seconds"] == pytest.approx(0.49)
    assert any("guesses (q)" in warning for warning in run.warnings)


def test_the_mapping_in_the_guide_is_complete(tmp_path):
    guide = (Path(__file__).parents[2] / "skills" / "import-recording" / "SKILL.md").read_text()
    mapping = _mapping(tmp_path, guide.split("```yaml\n")[1].split("```")[0])
    log = tmp_path / "walk.csv"
    # 1000 counts are 1000 * 2 pi / 2048 rad, of the other sign; the arm turns by 1 degree in 10 ms, which is 1.745 rad/s.
    log.write_text("time_ms,u,arm_deg,pole_counts,arm_rate\n" + "".join(f"{10 * k},0.5,{k},{1000 + k},1.7453293\n" for k in range(50)))
    run = RunContext(folder=tmp_path / "step")
    outputs = import_recording({"source": str(log), "mapping": mapping, "model": str(QUBE / "qube.xml")}, run)
    assert outputs["findings"] == []
    (logged,) = Recording.open(outputs["recording"]).logs()
    assert logged.signals["states"].values_tc[0, 1] == pytest.approx(-1000 * 2 * math.pi / 2048)


def test_a_recording_is_checked_and_passed_on(tmp_path):
    run = RunContext(folder=tmp_path / "step")
    outputs = import_recording({"source": str(QUBE / "qube.recording")}, run)
    assert outputs["recording"] == str(QUBE / "qube.recording")
    assert len(outputs["logs"]) == 20
    assert run.warnings == []


def test_an_unknown_joint_is_an_error_at_its_line_of_the_mapping(tmp_path, source):
    mapping = _mapping(tmp_path, MAPPING.replace("joint: arm", "joint: amr"))
    with pytest.raises(InputError, match="no joint 'amr'") as caught:
        import_recording({"source": str(source), "mapping": mapping, "model": str(QUBE / "qube.xml")}, RunContext(folder=tmp_path / "step"))
    assert ":4:" in caught.value.where
    assert caught.value.hint == "did you mean 'arm'?"


def test_findings_are_put_out_and_warned_of_once_a_kind(tmp_path, source):
    source.write_text("t,q\n" + "".join(f"{k * 0.01 + (k > 20)},{k}\n" for k in range(50)))
    run = RunContext(folder=tmp_path / "step")
    outputs = import_recording({"source": str(source), "mapping": _mapping(tmp_path)}, run)
    assert [(finding["kind"], finding["row"]) for finding in outputs["findings"]] == [("gap", 21)]
    assert any(warning.startswith("gap in 1 of 1 logs") for warning in run.warnings)


def test_a_bad_row_is_named_and_leaves_no_artifact(tmp_path, source):
    source.write_text("t,q\n0,1\n1,nan\n2,1\n")
    with pytest.raises(CoreError, match="log 'walk', row 1, channel 'q'"):
        import_recording({"source": str(source), "mapping": _mapping(tmp_path)}, RunContext(folder=tmp_path / "step"))
    assert not list((tmp_path / "step").rglob("*.parquet"))
