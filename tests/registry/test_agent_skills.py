"""`skills export-agent-skills`: guides as folders that conform to the Agent Skills specification."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from realitygap.agent_skills import export
from realitygap.cli.export_agent_skills import export_agent_skills
from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap.guides import check_guide
from realitygap.skill import Skill

GUIDE = '---\nname: {name}\ndescription: Looks at things. Use it to look.\nmetadata:\n  trit: "0"\n---\n\nLook at it.\n'


def skill(root: Path, name: str, guide: str | None = GUIDE, distribution: str = "acme") -> Skill:
    folder = root / distribution / name
    folder.mkdir(parents=True)
    (folder / "skill.yaml").write_text(f"name: {name}\n")
    if guide is not None:
        (folder / "SKILL.md").write_text(guide.format(name=name))
    return Skill(
        name=name, version="0.1.0", trit=0, summary="Looks.", entry="a:b", directory=folder, plugin="p", distribution=distribution,
        runtime="quick", effects="run", inputs={}, outputs={},
    )  # fmt: skip


def test_every_built_in_guide_is_exported_and_conforms(tmp_path: Path) -> None:
    registry = Registry.discover()
    done = export(registry, tmp_path / "out")
    assert set(done.written) == {name for name, one in registry.skills.items() if one.builtin}
    assert not done.left_out
    for name in done.written:
        folder = tmp_path / "out" / name
        assert list(check_guide(folder / "SKILL.md", registry.skills[name])) == []
        assert (folder / "SKILL.md").read_bytes() == registry.skills[name].guide.read_bytes()
        assert (folder / "skill.yaml").is_file()
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(done.written)


def test_what_does_not_conform_is_left_out_with_the_reason(tmp_path: Path) -> None:
    registry = Registry(
        [],
        [
            skill(tmp_path, "good"),
            skill(tmp_path, "silent", None),
            skill(tmp_path, "wrong", GUIDE.replace("{name}", "other")),
            skill(tmp_path, "twin"),
            skill(tmp_path, "twin", distribution="zeta"),
        ],
    )
    done = export(registry, tmp_path / "out")
    assert done.written == ("good",)
    reasons = dict(done.left_out)
    assert set(reasons) == {"silent", "wrong", "acme/twin", "zeta/twin"}
    assert reasons["silent"].startswith("RG301")
    assert reasons["wrong"].startswith("RG303")
    assert export(registry, tmp_path / "out", ["zeta/twin"]).written == ("twin",)


def test_an_earlier_export_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    registry = Registry([], [skill(tmp_path, "good"), skill(tmp_path, "second")])
    out = tmp_path / "out"
    export(registry, out)
    (out / "good" / "stale.md").write_text("old")
    (tmp_path / "acme" / "good" / "references").mkdir()
    (tmp_path / "acme" / "good" / "references" / "more.md").write_text("new")
    (tmp_path / "acme" / "good" / "secret.md").symlink_to("/etc/hostname")
    export(registry, out, ["good"])
    assert {path.relative_to(out / "good").as_posix() for path in (out / "good").rglob("*")} == {
        "SKILL.md", "skill.yaml", "references", "references/more.md",
    }  # fmt: skip

    for other in ("a folder of the user", "a link"):
        place = out / "second"
        if other == "a link":
            place.rmdir()
            place.symlink_to(tmp_path / "acme" / "second")
        else:
            for path in place.iterdir():
                path.unlink()
        (out / "good" / "mark").touch()
        with pytest.raises(InputError, match="something else"):
            export(registry, out)
        assert (out / "good" / "mark").exists()


def test_the_command_says_what_it_wrote_and_what_it_did_not(tmp_path: Path) -> None:
    done = CliRunner().invoke(export_agent_skills, [str(tmp_path / "out"), "check-triads"], standalone_mode=False)
    assert done.return_value == 0
    assert done.stdout == f"{tmp_path / 'out' / 'check-triads'}\n"
    with pytest.raises(InputError, match="check-triads"):
        CliRunner().invoke(export_agent_skills, [str(tmp_path), "check-triad"], standalone_mode=False, catch_exceptions=False)
