"""The report: complete, and nothing that came from outside is markup."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from realitygap.pipeline import make_plan
from realitygap.report import write_report
from realitygap.report_parts import number
from realitygap.runs import result_document
from realitygap.skill import Skill

EVIL = "<script>alert(1)</script>\"'&"


def make_run(tmp_path: Path, outputs: dict[str, Any], schema: dict[str, Any]) -> Path:
    (tmp_path / "skill.yaml").write_text("schema: 1\n")
    skill = Skill(
        name="demo",
        version="0.1.0",
        trit=-1,
        summary="",
        entry="demo:run",
        inputs={"name": {"type": "string"}},
        outputs=schema,
        directory=tmp_path,
        plugin="demo",
        distribution="demo",
    )

    class Skills:
        def skill(self, name: str) -> Skill:
            return skill

    folder = tmp_path / "runs" / "2026-01-01T00-00-00-abc"
    step = folder / "steps" / "demo"
    (step / "artifacts" / "figures").mkdir(parents=True)
    (step / "artifacts" / "figures" / "gap.svg").write_text(f"<svg xmlns='http://www.w3.org/2000/svg'>{EVIL}</svg>")
    rows = [{"name": f"return {EVIL}", "step": index, "value": index**2} for index in range(1000)]
    (step / "metrics.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (step / "outputs.json").write_text(json.dumps(outputs))
    (step / "step.json").write_text(json.dumps({"warnings": [EVIL], "figures": ["figures/gap.svg"]}))
    (folder / "plan.json").write_text(json.dumps(make_plan(skill, {"name": EVIL}, Skills(), seed=3).to_json()))
    (folder / "run.json").write_text(json.dumps({"created": 0, "versions": {"python": "3.11"}}))
    event = {"event": "step-done", "step": "demo", "skill": "demo", "seconds": 1.5}
    (folder / "events.jsonl").write_text(json.dumps(event) + "\n")
    document = result_document(folder.name, "demo", "done", warnings=[EVIL], error={"message": EVIL, "where": EVIL, "hint": EVIL})
    return write_report(folder, document)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(path: Path) -> Tags:
    parser = Tags()
    parser.feed(path.read_text())
    return parser


def test_nothing_from_outside_becomes_markup(tmp_path: Path) -> None:
    outputs = {"summary": EVIL, "score": 1.5, EVIL: {EVIL: {"rmse": 0.1, EVIL: EVIL}}}
    page = read(make_run(tmp_path, outputs, {"score": {"type": "number", "x-unit": EVIL, "description": EVIL}}))
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.text.count(EVIL) >= 8
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_the_report_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = read(make_run(tmp_path, {"summary": "done"}, {}))
    sources = [value for tag, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")]
    assert all(value is not None and value.startswith(("data:", "#")) for value in sources)
    assert not {"link", "script", "iframe"} & {tag for tag, _ in page.tags}


def test_numbers_have_their_units_objects_become_tables_and_curves_are_drawn(tmp_path: Path) -> None:
    outputs = {
        "summary": "theta 0.046 rad",
        "success_rate": 0.98765,
        "success_interval": [0.9, 1.0],
        "gap": {"theta": {"rmse": 0.0461234, "unit": "rad"}, "alpha": {"rmse": 0.019, "unit": "rad"}},
    }
    page = read(make_run(tmp_path, outputs, {"success_rate": {"type": "number", "x-unit": "1/1"}}))
    for text in ("theta 0.046 rad", "0.9877", "1/1", "0.9 to 1", "0.04612", "alpha", "return"):
        assert text in page.text
    polylines = [attributes["points"] or "" for tag, attributes in page.tags if tag == "polyline"]
    assert len(polylines) == 1
    assert 300 < len(polylines[0].split()) <= 402
    assert any(tag == "img" for tag, _ in page.tags)


def test_numbers_are_short() -> None:
    assert [number(value) for value in (0.123456, 3, 2.0, 123456, 14910.4, 1.5e12, None, True, 1e-9)] == [
        *("0.1235", "3", "2", "123 456", "14 910", "1.5e+12", "–", "yes", "1e-09"),
    ]
