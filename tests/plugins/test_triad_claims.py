"""Reading trits and claims from prose and manifests, and the four verdicts on them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realitygap.errors import InputError
from realitygap_plugins.triads.claims import Declaration, SkillRecord
from realitygap_plugins.triads.collection import read_collection
from realitygap_plugins.triads.notation import NotATrit, read_trit
from realitygap_plugins.triads.prose import find_claims
from realitygap_plugins.triads.text import Text
from realitygap_plugins.triads.verdicts import Judge, Verdict, judge


def known(**trits: int) -> dict[str, SkillRecord]:
    return {name.replace("_", "-"): declared(name.replace("_", "-"), trit) for name, trit in trits.items()}


def declared(name: str, *trits: int) -> SkillRecord:
    sources = ("frontmatter.trit", "body")
    found = [
        Declaration(source=source, trit=trit, text=str(trit), path="SKILL.md", line=3 + index)
        for index, (source, trit) in enumerate(zip(sources, trits, strict=False))
    ]
    return SkillRecord(name=name, path="SKILL.md", declarations=tuple(found))


def verdict(text: str, skills: dict[str, SkillRecord] | None = None) -> Verdict:
    claims = find_claims(Text(text), path="x.md")
    assert len(claims) == 1, claims
    return judge(claims[0], skills or {})


@pytest.mark.parametrize(
    ("text", "trit"),
    [("-1", -1), ("\u22121", -1), ("+1", 1), ("1", 1), (0, 0), ("0 (ERGODIC)", 0), ("+1 (PLUS - generative)", 1), ("-1 (MINUS)", -1),
     ("+1, generator", 1), ("○", 0), ("⊕", 1), ("⊖", -1), ("-", -1), ("+", 1), ("-2 mod 3", 1), ("2 (mod 3)", -1), ("PLUS", 1),
     ("-1.", -1), ("+1. It makes.", 1), ("0 (ERGODIC) - between checks (-1) and makers (+1)", 0),
     ("+1, for makers", 1), ("-1 for checks, -1 for tests", -1)],
)  # fmt: skip
def test_a_trit_is_read_in_every_notation(text: object, trit: int) -> None:
    if text == "2 (mod 3)":
        with pytest.raises(NotATrit):
            read_trit("2")
        text = "2 mod 3"
    assert read_trit(text) == trit


@pytest.mark.parametrize("value", ["±1", "2", 2, True, False, 0.0, 1.5, None, "1.5", "1.e", "0 (PLUS)", "int", "", "10", "1/2", [1]])
def test_what_is_not_one_trit_is_refused(value: object) -> None:
    with pytest.raises(NotATrit):
        read_trit(value)


@pytest.mark.parametrize("value", ["word " * 1000, ["x"] * 1000, 10**1000])
def test_what_is_no_trit_is_quoted_in_short(value: object) -> None:
    with pytest.raises(NotATrit) as caught:
        read_trit(value)
    assert len(str(caught.value)) < 120


def test_a_mixed_triad_that_says_so_is_balanced_and_true() -> None:
    text = "entropy-sim2real (-1) ⊗ kos-firmware (+1) ⊗ mujoco-scenes (0) = 0 ✓"
    found = verdict(text, known(entropy_sim2real=-1, kos_firmware=1, mujoco_scenes=0))
    assert (found.arithmetic, found.consistency, found.existence, found.truth) == ("balanced", "consistent", "known", "true")


def test_needs_plus_one_is_a_claim_and_right_where_plus_one_completes() -> None:
    # -1 + 1 - 1 = -1, and +1 completes it.
    found = verdict("ksim-rl (-1) ⊗ kos-firmware (+1) ⊗ entropy-sim2real (-1) = needs +1")
    assert (found.arithmetic, found.truth, found.total) == ("unbalanced", "true", -1)
    assert verdict("ksim-rl (-1) ⊗ kos-firmware (+1) ⊗ entropy-sim2real (-1) = needs -1").truth == "false"


def test_a_quad_over_several_lines_is_one_claim_at_its_first_line() -> None:
    text = (
        "Balanced quad:\nsim2real-predictive-coding (+1) ⊗ active-inference-robotics (+1) ⊗\n  kscale-kos (-1) ⊗ kscale-kinfer (-1) = 0 ✓\n"
    )
    (claim,) = find_claims(Text(text), path="x.md")
    found = judge(claim, {})
    assert (claim.line, claim.end_line, len(claim.members)) == (2, 3, 4)
    assert (found.arithmetic, found.truth, found.existence) == ("balanced", "true", "missing")


@pytest.mark.parametrize(
    ("text", "arithmetic", "truth"),
    [
        ("a(-1) + b(0) + c(+1) = 0 (mod 3)", "balanced", "true"),
        ("a (+1) → b (0) → c (-1) = 0", "balanced", "true"),
        ("x (sheaves) (+1) ⊗ y (+1, generator) ⊗ z (1) = 3 ≡ 0 (mod 3) ✓", "balanced", "true"),
        ("x (+1) ⊗ y (+1) ⊗ z (0) = 3 ≡ 0 (mod 3) ✓", "unbalanced", "false"),
        ("a (-1) ⊗ b (-1) ⊗ c (0) = -2 ✗ → imbalanced", "unbalanced", "true"),
        ("a (-1) ⊗ b (-1) ⊗ c (-1) = -3 ✗ UNBALANCED", "balanced", "false"),
        ("a (-1) ⊗ b (0) ⊗ c (0) = -1 ≡ 2 (mod 3)", "unbalanced", "true"),
        ("a (-1) ⊗ b (0) ⊗ c (0) = -1 ≢ 0", "unbalanced", "true"),
        ("a (-1) ⊗ b (0) ⊗ c (0) → need +1", "unbalanced", "true"),
        ("ksim-rl(-1), kos-firmware(+1), urdf2mjcf(0) = needs balancing", "balanced", "false"),
        ("a (\u22121) ⊗ b (0) ⊗ c (0) = 0 ✓", "unbalanced", "false"),
        ("a ⊗ b (0) ⊗ c (+1) = 0 ✓", "undetermined", "undetermined"),
        ("a (±1) ⊗ b (0) ⊗ c (+1) = 0 ✓", "undetermined", "undetermined"),
        ("a (0) ⊗ b (0) ⊗ [MISSING -1] = ???", "undetermined", "undetermined"),
        ("a (0) ⊗ b (0) ⊗ c (0)", "balanced", "undetermined"),
        # 1 + 1 = 2, which is -1 in GF(3), and there only.
        ("GF(3): (+1) + (+1) = -1", "unbalanced", "true"),
        ("a (+1) ⊗ b (+1) = -1 GF(3)", "unbalanced", "true"),
        ("a (+1) ⊗ b (+1) = 2 mod 3 = -1", "unbalanced", "true"),
        ("a (+1) ⊗ b (+1) = −1 (≡ 2)", "unbalanced", "true"),
        ("a (+1) ⊗ b (+1) = -1", "unbalanced", "false"),
        ("GF(3): (+1) + (+1) = 1", "unbalanced", "false"),
        ("GF(3): (+1) + (+1) = -4", "unbalanced", "false"),
        ("| Skill | Trit |\n|---|---|\n| a | +1 |\n| b | +1 |\n\nGF(3) sum = -1", "unbalanced", "true"),
    ],
)  # fmt: skip
def test_arithmetic_and_truth_are_separate(text: str, arithmetic: str, truth: str) -> None:
    found = verdict(text)
    assert (found.arithmetic, found.truth) == (arithmetic, truth)


@pytest.mark.parametrize(
    "text", ["the map f ⊗ g of two spaces", "sources (1), (2) and [3] = many", "a (-1), b (0) and c (+1) are skills", "a + b → c"]
)
def test_ordinary_prose_is_no_claim(text: str) -> None:
    assert find_claims(Text(text), path="x.md") == []


@pytest.mark.parametrize(
    "text",
    [
        *(f"a (+1) + b (-1) = {value}" for value in ("10%", "1e-3", "0x00", "0th")),
        *(
            f"a (-1) → b (0) {word}"
            for word in ("(conservation broken)", "(conservation fails)", "(balanced with c)", "→ balanced by d (+1)")
        ),
        *(f"a (+1) → b (-1) {word}" for word in ("unbalanced input rejected", "(violation-check passes)")),
        *(f"{before}a (-1) ⊗ b (0) = 0" for before in ("❌ ", "- ❌ Bad: ", "NOT: ", "**Wrong**: ", "~~")),
        "❌ (-1) + (0) = 0",
        *("a (-1) + b (0) = 0? No, -1", "sum mod 2: 1 + 1 = 0", "XOR sum: 1 + 1 = 0"),
        # Calls and products.
        *(f"```python\n{code}\n```" for code in ("sign(-1) + sign(-1) = 0", "exp(-1) × exp(+1) = 1", "XOR(1) ⊕ XOR(1) = 0")),
        *("requests (1) + errors (0) = 0 problems", "3·1 + 3·(-1) = 0", "-((+1) + (+1)) = -2", "2·((+1) + (+1)) = 4"),
    ],
)
def test_nothing_is_said_by_longer_numbers_words_on_others_refusals_questions_and_code(text: str) -> None:
    assert find_claims(Text(text), path="x.md") == []


def test_a_question_below_a_heading_that_claims_balance_claims_nothing() -> None:
    assert verdict("## Balanced triads\n\na (-1) ⊗ b (0) = 0? No, -1").truth == "undetermined"


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("a (-1) ⊗ b (+1) = 0 ✓ unbalanced input rejected", "true"),
        ("a (-1) ⊗ b (0) (unbalanced, needs +1)", "true"),
        ("a (-1) ⊗ b (+1) unbalanced", "false"),
        ("~~a (-1) ⊗ b (0)~~ a (-1) ⊗ c (+1) = 0", "true"),
        ("```python\n# GF(3): a(-1) + b(+1) = 0\n```", "true"),
        ("```bash\n# a-b(-1) + c(+1) = 0\n```", "true"),
        ("Σ((+1) + (-1)) = 0", "true"),
        # Words about trits are enough: -1 + 0 - 1 = -2, +1 + 0 - 1 = 0.
        ("Trit sum: -1 + 0 + -1 = 0 ✓", "false"),
        ("Balance: +1 + 0 - 1 = 1", "false"),
        ("Balance: +1+0-1 = 0", "true"),
        ("a ( -1 ) + b ( 0 ) + c ( +1 ) = 1", "false"),
        ("a (-1) ⊗ b (0) ⊗ c (\uff0b1) = 0", "true"),
        ("a ( -1 )\n  + b ( \uff0b1 ) = 0", "true"),
    ],
)
def test_what_is_said_beside_refusals_and_code_is_still_read(text: str, truth: str) -> None:
    assert verdict(text).truth == truth


def test_sound_arithmetic_on_wrong_inputs_is_contradicted() -> None:
    found = verdict("a (-1) ⊗ b (0) ⊗ c (+1) = 0 ✓", known(a=0, b=0, c=1))
    assert (found.arithmetic, found.truth, found.consistency, found.by_declared) == ("balanced", "true", "contradicted", "unbalanced")
    assert found.contradictions == ("a is stated as -1, declared as 0 (SKILL.md:3)",)


def test_a_member_whose_sources_conflict_gets_no_trit() -> None:
    skills = known(b=0, c=1) | {"a": declared("a", -1, 0)}
    assert skills["a"].trit is None
    found = verdict("a (-1) ⊗ b (0) ⊗ c (+1) = 0 ✓", skills)
    assert (found.consistency, found.by_declared) == ("undetermined", "undetermined")


def test_a_false_claim_says_how_to_mend_it() -> None:
    found = verdict("a (-1) ⊗ b (0) ⊗ c (0) = 0 ✓", known(a=-1, b=0, c=0, d=1))
    assert found.truth == "false"
    assert "changing a to 0 or b to +1 or c to +1 balances it, or add a skill with +1: d" in found.reason


@pytest.mark.parametrize(
    ("text", "why", "mend"),
    [
        # What is false of a half is said of that half.
        ("a (+1) ⊗ b (0) = 1 ✗ → needs +1", "false: it needs -1, not +1", "write needs -1"),
        ("a (+1) ⊗ b (0) = 0 → needs -1", "false: it does not balance", "changing a to 0"),
        ("a (+1) ⊗ b (-1) = 0 → needs +1", "false: the group balances", "the group balances: write = 0"),
        ("a (+1) ⊗ b (0) ≠ 1", "false: it is +1 modulo 3", "the trits sum to +1: write = +1"),
        ("a (+1) ⊗ b (-1) ≠ 0", "false: the group balances", "the group balances: write = 0"),
        ("a (+1) ⊗ b (+1) = -1", "false: the sum is not -1", "the trits sum to +2: write = +2"),
        ("a (+1) ⊗ b (+1) ≡ 1 (mod 3)", "false: it is -1 modulo 3", "write ≡ -1 (mod 3)"),
        ("a (+1) ⊗ b (+1) ⊗ c (+1) = 1 ≡ 0 (mod 3)", "false: the group balances", "write ≡ 0 (mod 3)"),
    ],
)
def test_what_is_false_of_a_claim_is_said_with_what_to_write(text: str, why: str, mend: str) -> None:
    found = verdict(text, known(d=-1))
    assert found.truth == "false"
    assert why in found.why
    assert found.mend.startswith(mend)


def test_skills_of_the_collection_are_advised_before_others() -> None:
    claim = "x (-1) ⊗ y (0) = 0 ✓"
    (found,) = find_claims(Text(claim), path="x.md")
    skills = known(a=1, b=1, x=-1, y=0)
    assert "with +1: a, b" in Judge(skills).judge(found).mend
    assert "with +1: b" in Judge(skills, own=("b", "x", "y")).judge(found).mend
    assert "with +1: a, b" in Judge(skills, own=("x", "y")).judge(found).mend


SEED = """\
---
name: entropy-sim2real
description: "x"
trit: -1
color: "#E85B8E"
---

# Entropy

**Trit**: -1 (MINUS - analysis/verification)

```
entropy-sim2real (-1) ⊗ kos-firmware (+1) ⊗ mujoco-scenes (0) = 0 ✓
ksim-rl (-1) ⊗ kos-firmware (+1) ⊗ entropy-sim2real (-1) = needs +1
```

```python
trit: int = 0
Trit: 0
```

## SDF Interleaving

### GF(3) Balanced Triad

```
entropy-sim2real (○) + SDF.Ch8 (−) + [balancer] (+) = 0
```

**Skill Trit**: 0 (ERGODIC - coordination)

## References
"""


def skill_folder(root: Path, name: str, text: str, file: str = "SKILL.md") -> Path:
    folder = root / name
    folder.mkdir(exist_ok=True)
    (folder / file).write_text(text, "utf-8")
    return folder


def test_an_injected_block_conflicts_and_decides_nothing(tmp_path: Path) -> None:
    skill_folder(tmp_path, "entropy-sim2real", SEED)
    collection = read_collection(tmp_path)
    (record,) = collection.records
    assert [(d.source, d.trit, d.line) for d in record.declarations] == [("frontmatter.trit", -1, 4), ("body", -1, 10), ("injected", 0, 30)]
    assert record.trit == -1
    assert record.conflicting
    assert not record.conflicting_authored
    balanced, needs, sdf = (judge(claim, collection.by_name) for claim in collection.claims)
    assert (balanced.truth, needs.truth, sdf.truth) == ("true", "true", "true")
    assert (sdf.claim.injected, sdf.consistency, sdf.existence) == (True, "contradicted", "missing")
    assert not balanced.claim.injected


def test_manifest_guide_and_body_that_disagree_are_all_kept(tmp_path: Path) -> None:
    folder = skill_folder(tmp_path, "a", "---\nname: a\ndescription: x\nmetadata:\n  trit: '0'\n---\n\nTrit: -1\n")
    (folder / "skill.yaml").write_text("schema: 1\nname: a\ntrit: 1\ntriads: [[a, b]]\n")
    collection = read_collection(tmp_path)
    (record,) = collection.records
    assert [(d.source, d.trit) for d in record.authored] == [("skill.yaml", 1), ("metadata.trit", 0), ("body", -1)]
    assert record.trit is None
    found = judge(collection.claims[0], collection.by_name)
    assert (found.arithmetic, found.consistency, found.existence) == ("undetermined", "contradicted", "missing")


def test_a_frontmatter_that_is_not_yaml_is_reported_and_its_trit_found(tmp_path: Path) -> None:
    skill_folder(tmp_path, "a", '---\nname: a\ndescription: one: two: three\nmetadata:\n  trit: "+1"\n---\nbody\n')
    collection = read_collection(tmp_path)
    assert collection.records[0].trit == 1
    assert collection.records[0].declarations[0].line == 5
    assert "not valid YAML" in collection.problems[0]


def test_a_comment_of_a_frontmatter_that_is_not_yaml_is_no_part_of_a_name(tmp_path: Path) -> None:
    skill_folder(tmp_path, "a", "---\nname: a # the first\ndescription: one: two\ntrit: +1 # and more\n---\nbody\n")
    (record,) = read_collection(tmp_path).records
    assert (record.name, record.trit) == ("a", 1)


def test_no_default_and_no_colour_gives_a_trit(tmp_path: Path) -> None:
    skill_folder(tmp_path, "a", "---\nname: a\ndescription: x\ncolor: '#D82626'\n---\nURI: skill://a#D82626\n")
    assert read_collection(tmp_path).records[0].trit is None


def test_a_folder_without_skills_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no skill\.yaml"):
        read_collection(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_collection(tmp_path / "nowhere")


member_names = st.from_regex(r"[a-z][a-z0-9]{0,6}(-[a-z0-9]{1,5}){0,2}", fullmatch=True)
member_lists = st.lists(st.tuples(member_names, st.sampled_from([-1, 0, 1])), min_size=2, max_size=6)


@given(member_lists, st.sampled_from([" ⊗ ", " + ", " → ", " ⊗\n   "]), st.sampled_from(["{} ({})", "{}({})", "`{}` ({})", "**{}** ({})"]))
def test_a_written_group_is_read_back(members: list[tuple[str, int]], separator: str, form: str) -> None:
    text = separator.join(form.format(name, f"{trit:+d}" if trit else "0") for name, trit in members) + " = 0 ✓ [Label]"
    (claim,) = find_claims(Text(f"Some words.\n\n{text}\n"), path="x.md")
    assert [(member.name, member.trit) for member in claim.members] == members
    expected = sum(trit for _, trit in members) % 3 == 0
    assert judge(claim, {}).truth == ("true" if expected else "false")


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from([*"⊗+→=≡-−01✓✗()[]`*, \n#", "a", "need", "mod 3", "Trit:", "```", "---\n", "## SDF Interleaving"]),
        max_size=40,
    )
)
def test_no_text_breaks_the_reader(pieces: list[str]) -> None:
    for claim in find_claims(Text("".join(pieces)), path="x.md"):
        found = judge(claim, {})
        assert (found.arithmetic == "undetermined") == (found.total is None)


def test_a_folder_is_read_again_when_its_guide_changes(tmp_path: Path) -> None:
    folder = tmp_path / "walk"
    folder.mkdir()
    found = []
    for trit in ("1", "-1"):
        (folder / "SKILL.md").write_text(f"---\nname: walk\ntrit: {trit}\n---\n")
        found.append([declaration.trit for record in read_collection(tmp_path).records for declaration in record.declarations])
    assert found == [[1], [-1]]
