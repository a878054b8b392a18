"""Every example in a manifest runs and gives what it expects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import workbench
from skillbench import registry

EXAMPLES = [(skill.name, example) for skill in registry().skills.values() for example in skill.examples]
RUN_BY_PIPELINES = {"adapt-domain", "rollout-policy", "validate-transfer"}
"""Skills that start from what another one put out, so no example can name it: the pipelines below run them."""
RUN_ON_A_POLICY = {
    "evaluate-policy": "test_policy_skills.py",
    "export-policy": "test_policy_skills.py",
    "replay-run": "test_replay_run.py",
}
"""Skills that start from a trained policy or its training, which no example can name: the tests that run them."""
PIPELINES_OF_THE_ACCEPTANCE_TEST = {"entropy-sim2real", "sim2real-predictive-coding"}
"""Minutes each: tests/acceptance runs the main job, which has every step of both."""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_an_example_of_a_manifest_gives_what_it_expects(name: str, example: Mapping[str, Any], tmp_path: Path) -> None:
    (tmp_path / "inputs.json").write_text(json.dumps(example["with"]))
    done = workbench.skills(tmp_path, "run", name, "--inputs", "inputs.json", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["status"] == "done"
    outputs, expected = document["outputs"], example.get("expect", {})
    assert {key: outputs[key] for key in expected} == expected


def test_every_skill_has_an_example_or_a_pipeline_that_runs_it() -> None:
    with_example = {name for name, _ in EXAMPLES}
    assert set(registry().skills) - with_example == RUN_BY_PIPELINES | set(RUN_ON_A_POLICY) | PIPELINES_OF_THE_ACCEPTANCE_TEST
    for name, file in RUN_ON_A_POLICY.items():
        function = registry().skill(name).entry.partition(":")[2]
        assert f"{function}(" in (Path(__file__).parent / file).read_text(encoding="utf-8"), name
    run = {str(step["uses"]) for name in ("entropy-sim2real", "kscale-ksim") for step in registry().skill(name).steps}
    assert run >= RUN_BY_PIPELINES
    predictive = {str(step["uses"]) for step in registry().skill("sim2real-predictive-coding").steps}
    assert predictive <= {str(step["uses"]) for step in registry().skill("entropy-sim2real").steps}


def test_no_description_ends_at_a_comma() -> None:
    """Inside braces a comma ends a text without quotes, and what follows it becomes a key of the schema that nobody reads."""

    def keys(value: Any) -> Iterator[str]:
        if isinstance(value, Mapping):
            yield from value
        for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
            yield from keys(inner)

    skills = registry().skills.values()
    assert [f"{skill.name}: {key}" for skill in skills for part in (skill.inputs, skill.outputs) for key in keys(part) if " " in key] == []
