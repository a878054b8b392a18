"""The skill `check-triads` and the TRI rules, on folders made for the purpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from realitygap.context import RunContext
from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap.skill import Skill
from realitygap_plugins.triads import skill as check_triads
from realitygap_plugins.triads.checks import check_triads as rules

COMPOSITE = ("entropy-sim2real", "kscale-ksim", "sim2real-predictive-coding")


def write(
    root: Path, name: str, *, trit: int, triads: list[list[str]] | None = None, body: str = "Text.", color: str | None = None
) -> None:
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    listed = f"triads: {triads}\n".replace("'", "") if triads else ""
    shade = f"color: '{color}'\n" if color else ""
    manifest = f"schema: 1\nname: {name}\nversion: 0.1.0\ntrit: {trit}\n{listed}{shade}summary: Does it.\nentry: nowhere:f\ninputs: {{}}\n"
    (folder / "skill.yaml").write_text(manifest + "outputs: {summary: {type: string}}\n")
    sign = "0" if trit == 0 else f"{trit:+d}"
    (folder / "SKILL.md").write_text(f'---\nname: {name}\ndescription: Does it.\nmetadata:\n  trit: "{sign}"\n---\n\n{body}\n')


def findings(root: Path, only: str | None = None) -> list[tuple[str, str, int, str]]:
    skills = [
        Skill.from_manifest(_yaml(path), directory=path.parent, plugin="workspace", distribution="workspace")
        for path in sorted(root.glob("*/skill.yaml"))
    ]
    registry = Registry([], skills)
    checked = [one for one in skills if only is None or one.name == only]
    return [(one.rule, Path(one.path).parent.name, one.line, f"{one.message} | {one.hint}") for one in rules(registry, checked)]


def _yaml(path: Path) -> Any:
    from realitygap.document import load

    return load(path).data


def run(tmp_path: Path, **inputs: Any) -> Mapping[str, Any]:
    return check_triads.check(inputs, RunContext(folder=tmp_path / "run"))


def test_an_unbalanced_group_says_how_to_mend_it(tmp_path: Path) -> None:
    triad = ["a", "b", "c"]
    for name, trit in {"a": -1, "b": 0, "c": 0}.items():
        write(tmp_path, name, trit=trit, triads=[triad])
    write(tmp_path, "d", trit=1, triads=[["d", "a", "b"]])
    write(tmp_path, "e", trit=1, triads=[["e", "a", "c"]])
    found = [one for one in findings(tmp_path, "a") if one[0] == "TRI201"]
    expected = "the group sums to -1, not 0, modulo 3: a -1 b 0 c 0"
    mend = "changing a to 0 or b to +1 or c to +1 balances it, or add a skill with +1: d, e, or remove a"
    assert found == [("TRI201", "a", 5, f"{expected} | {mend}")]


def test_unknown_repeated_and_absent_members_are_named(tmp_path: Path) -> None:
    write(tmp_path, "measure-gap", trit=0, triads=[["measure-gap", "mesure-gap"], ["other"], ["measure-gap", "measure-gap", "measure-gap"]])
    write(tmp_path, "other", trit=0, triads=[["other"]])
    found = [one for one in findings(tmp_path, "measure-gap") if one[0] != "TRI206"]
    assert [(rule, line) for rule, _, line, _ in found] == [("TRI202", 5), ("TRI204", 5), ("TRI204", 5)]
    assert "did you mean 'measure-gap'?" in found[0][3]
    assert "does not contain measure-gap" in found[1][3]
    assert "measure-gap is named twice" in found[2][3]


def test_a_group_is_declared_by_all_its_members_and_every_skill_has_one(tmp_path: Path) -> None:
    write(tmp_path, "a", trit=-1, triads=[["a", "b"]])
    write(tmp_path, "b", trit=1)
    found = findings(tmp_path)
    assert [(rule, name) for rule, name, _, _ in found] == [("TRI206", "a"), ("TRI205", "b")]
    assert "add [a, b] to its triads" in found[0][3]
    write(tmp_path, "b", trit=1, triads=[["b", "a"]])
    assert findings(tmp_path) == []


def test_what_the_guide_says_is_held_against_the_manifest(tmp_path: Path) -> None:
    body = "**Trit**: 0\n\nskill://a#FF0000\n\na (-1) ⊗ b (+1) = -1 ✗\na (-1) ⊗ b (0) = needs +1\n"
    write(tmp_path, "a", trit=-1, triads=[["a", "b"]], body=body, color="#00FF00")
    write(tmp_path, "b", trit=1, triads=[["a", "b"]])
    found = sorted(findings(tmp_path, "a"), key=lambda one: one[2])
    assert [(rule, line) for rule, _, line, _ in found] == [("TRI203", 8), ("TRI217", 10), ("TRI208", 12), ("TRI209", 13)]
    assert "the group balances" in found[2][3]
    assert "b is stated as 0, declared as +1" in found[3][3]
    assert f"({tmp_path}/b/skill.yaml:4)" in found[3][3]


@pytest.mark.parametrize("mark", ["\f", "\x85", "\u2028"])
def test_every_finding_names_the_line_that_an_editor_counts(tmp_path: Path, mark: str) -> None:
    write(tmp_path, "a", trit=0, triads=[["a"]], body=f"some{mark}text\n\n**Trit**: 1\n\nskill://a#FF0000", color="#00FF00")
    assert [(rule, line) for rule, _, line, _ in findings(tmp_path)] == [("TRI203", 10), ("TRI217", 12)]


def test_a_guide_has_the_same_findings_with_a_manifest_and_without(tmp_path: Path) -> None:
    body = (
        "a (-1) ⊗ ghost (+1) = 0 ✓\na (-1) ⊗ [balancer] (+1) = 0 ✓\na ⊗ b = 0\na (-1) ⊗ b (0) = 0\na (0) ⊗ b (0) = 0\n\n"
        "skill://ghost#00FF00 skill://a#12345\n\n## Cat# Integration\n\nTrit: 0 (ERGODIC)\n"
    )
    write(tmp_path, "a", trit=-1, triads=[["a", "b"]], body=body)
    write(tmp_path, "b", trit=1, triads=[["a", "b"]])
    told = [one for one in findings(tmp_path) if one[1] == "a"]
    assert [rule for rule, *_ in told] == [
        "TRI211", "TRI214", "TRI215", "TRI216", "TRI208", "TRI209", "TRI209", "TRI217", "TRI217"
    ]  # fmt: skip
    for name in ("a", "b"):
        (tmp_path / name / "skill.yaml").unlink()
    alone = rules(Registry([], []), [], paths=[tmp_path])
    # Where b declares its trit is another place now.
    assert [(one.rule, one.line, one.hint) for one in alone if one.path.endswith("a/SKILL.md")] == [
        (rule, line, message.rpartition(" | ")[2]) for rule, _, line, message in told
    ]


def test_skills_of_two_distributions_with_one_name_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path / "one", "a", trit=-1, triads=[["a"]])
    write(tmp_path / "two", "a", trit=1, triads=[["a"]])
    skills = [
        Skill.from_manifest(_yaml(path), directory=path.parent, plugin=path.parent.parent.name, distribution=path.parent.parent.name)
        for path in sorted(tmp_path.glob("*/*/skill.yaml"))
    ]
    assert "TRI219" not in {one.rule for one in rules(Registry([], skills), skills)}


def test_the_skill_counts_each_kind_of_claim_and_every_claim_once(tmp_path: Path) -> None:
    body = "a (-1) ⊗ b (+1) = 0 ✓\na (-1) ⊗ b (0) = 0 ✓\na (-1) ⊗ nobody = 0 ✓\n"
    write(tmp_path, "a", trit=-1, triads=[["a", "b"]], body=body)
    write(tmp_path, "b", trit=1, triads=[["a", "b"]], body="**Trit**: 0")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "SKILL.md").write_text("---\nname: c\ndescription: x\ncolor: '#D82626'\n---\nNothing.\n")
    outputs = run(tmp_path, path=str(tmp_path))
    # b says +1 in its manifest and 0 in its guide: its trit is unknown, so that both manifests' claims are undetermined.
    counts = {
        name: outputs[name]
        for name in ("skills", "declared", "undeclared", "conflicting", "claims", "balanced", "unbalanced", "undetermined")
    }
    assert counts == {
        "skills": 3, "declared": 2, "undeclared": 1, "conflicting": 1, "claims": 5, "balanced": 1, "unbalanced": 1, "undetermined": 3,
    }  # fmt: skip
    assert outputs["false_claims"] == 1
    assert [row["truth"] for row in outputs["verdicts"]] == ["undetermined", "true", "false", "undetermined", "undetermined"]
    assert {one["name"]: one["injected_only"] for one in outputs["conflicts"]} == {"b": False}
    assert "1 false" in outputs["summary"]


def test_the_skill_refuses_a_pipeline_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown pipeline") as caught:
        run(tmp_path, pipeline="entropy-sim2rael")
    assert "entropy-sim2real" in str(caught.value.hint)


def test_the_built_in_triads_balance_and_every_finding_is_clean(tmp_path: Path) -> None:
    registry = Registry.discover()
    own = [skill for skill in registry.skills.values() if skill.builtin]
    assert [f"{one.where} {one.rule} {one.message}" for one in rules(registry, own)] == []
    outputs = run(tmp_path)
    assert (outputs["unbalanced"], outputs["undetermined"], outputs["false_claims"], outputs["conflicting"]) == (0, 0, 0, 0)
    assert outputs["claims"] == outputs["balanced"] >= 2 * len(COMPOSITE)


def test_built_in_triads_are_made_of_skills_that_one_pipeline_uses_or_that_lead_to_each_other() -> None:
    skills = Registry.discover().skills
    used = {name: {str(step["uses"]) for step in skill.steps} for name, skill in skills.items() if skill.is_pipeline}

    def connected(triad: Sequence[str]) -> bool:
        links = sum(other in skills[one].enables for one in triad for other in triad)
        return links >= len(triad) - 1

    for skill in skills.values():
        if not skill.builtin:
            continue
        for triad in skill.triads:
            together = any(set(triad) <= steps for steps in used.values()) or connected(triad)
            assert together or set(triad) == set(COMPOSITE), f"{skill.name}: {triad}"


def test_the_composite_skills_balance_as_they_declare() -> None:
    skills = Registry.discover().skills
    assert {name: skills[name].trit for name in COMPOSITE} == {"entropy-sim2real": -1, "kscale-ksim": 0, "sim2real-predictive-coding": 1}


def test_the_trits_of_a_pipelines_steps_are_listed_and_summed(tmp_path: Path) -> None:
    outputs = run(tmp_path, pipeline="kscale-ksim")
    # describe 0, train +1, rollout +1, validate -1, triads -1
    assert [(row["step"], row["trit"]) for row in outputs["step_trits"]] == [
        ("describe", 0), ("train", 1), ("rollout", 1), ("validate", -1), ("triads", -1),
    ]  # fmt: skip
    assert (outputs["step_sum"], outputs["step_sum_gf3"], outputs["step_completes"]) == (0, 0, 0)
    # Only the claims of the pipeline and its skills: nothing of those that it does not use.
    assert {row["owner"] for row in outputs["verdicts"]} <= {"kscale-ksim", *(row["skill"] for row in outputs["step_trits"])}


def test_each_skill_is_a_row_with_its_trit_its_place_and_what_its_guide_breaks(tmp_path: Path) -> None:
    write(tmp_path, "a", trit=-1, triads=[["a", "b"]], body="**Trit**: -1")
    write(tmp_path, "b", trit=1, triads=[["a", "b"]])
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "SKILL.md").write_text(
        "---\nname: c\ndescription: Has: a colon\ntrit: +1\nversion: 1\n---\n\nc (+1) ⊗ [balancer] (-1) = 0 ✓\n"
    )
    outputs = run(tmp_path, path=str(tmp_path))
    rows = {row["skill"]: row for row in outputs["records"]}
    assert (rows["a"]["trit"], rows["a"]["source"], rows["a"]["place"]) == (-1, "skill.yaml", f"{tmp_path}/a/skill.yaml:4")
    assert rows["a"]["conforms"]
    assert (rows["c"]["trit"], rows["c"]["source"], rows["c"]["place"]) == (1, "frontmatter.trit", f"{tmp_path}/c/SKILL.md:4")
    assert not rows["c"]["conforms"]
    assert "not valid YAML" in rows["c"]["problems"][0]
    assert outputs["nonconforming"] == 1
    (vacuous,) = [row for row in outputs["verdicts"] if row["vacuous"]]
    assert vacuous["owner"] == "c"
    assert outputs["vacuous"] == 1


def test_addresses_that_disagree_are_listed_and_decide_no_trit(tmp_path: Path) -> None:
    for name, body in {"a": "skill://a#D82626 and skill://nobody", "b": "skill://b#D82626", "c": "skill://a#26D826"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "SKILL.md").write_text(f"---\nname: {name}\ndescription: x\n---\n{body}\n")
    outputs = run(tmp_path, path=str(tmp_path))
    faults = [row["fault"] for row in outputs["addresses"]]
    assert len(faults) == 3
    assert "no skill 'nobody' in this collection" in faults[0]
    assert faults[1].startswith("a has several colours: #d82626")
    assert faults[2].startswith("#d82626 is the colour of several skills: a at ")
    assert all(row["trit"] is None for row in outputs["records"])


def test_a_collection_with_many_faults_warns_of_the_first_and_counts_the_rest(tmp_path: Path) -> None:
    for number in range(25):
        (tmp_path / "skills" / f"s{number:02d}").mkdir(parents=True)
        (tmp_path / "skills" / f"s{number:02d}" / "SKILL.md").write_text("---\nname: [\n---\nText.\n")
    context = RunContext(folder=tmp_path / "run")
    assert check_triads.check({"path": str(tmp_path / "skills")}, context)["nonconforming"] == 25
    assert len(context.warnings) == 21
    assert context.warnings[-1].startswith("5 more files")
