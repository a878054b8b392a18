"""Discovery: static, tolerant, with names that cannot be taken. Distributions are made as folders on the search path."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from realitygap.discovery import Registry, Selection, settle
from realitygap.errors import InputError
from realitygap.index import Index, cache_directory
from realitygap.scan import module_file, package_directories

MANIFEST = """\
schema: 1
name: {name}
version: 0.1.0
trit: 0
summary: Look.
entry: {package}.skill:run
inputs: {{seed: {{type: integer, default: 0}}, log: {{type: string}}, note: {{type: string, x-optional: true}}}}
outputs: {{score: {{type: number}}, plot: {{type: string, x-optional: true}}}}
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REALITYGAP_CACHE", str(tmp_path / "cache"))
    for name in ("REALITYGAP_PLUGINS", "REALITYGAP_DISABLE_PLUGINS", "REALITYGAP_SKILLS_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Makes a distribution importable: `install("acme-gap", skills=["look"], init="raise SystemExit")`."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    before = set(sys.modules)

    def make(distribution: str, *, skills=(), init: str = "", plugin: str = "hooks: []", name: str | None = None) -> Path:
        package = distribution.replace("-", "_")
        folder = site / package
        folder.mkdir()
        (folder / "__init__.py").write_text(init)
        (folder / "plugin.yaml").write_text(f"schema: 1\nname: {name or package}\napi: 1\n{plugin}\n")
        for skill in skills:
            (folder / "skills" / skill).mkdir(parents=True)
            (folder / "skills" / skill / "skill.yaml").write_text(MANIFEST.format(name=skill, package=package))
        metadata = site / f"{package}-0.3.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 0.3\n")
        (metadata / "entry_points.txt").write_text(f"[realitygap]\n{name or package} = {package}\n")
        return folder

    yield make
    for module in set(sys.modules) - before:
        if module.startswith(("acme", "other")):
            del sys.modules[module]


def test_a_plugin_that_exits_at_import_still_lists(install):
    install("acme-gap", skills=["look"], init="raise SystemExit(3)")
    registry = Registry.discover()
    skill = registry.skill("look")
    assert (skill.plugin, skill.distribution, skill.distribution_version, skill.builtin) == ("acme_gap", "acme-gap", "0.3", False)
    assert registry.plugins["acme_gap"].state == "found"
    assert "acme_gap" not in sys.modules


def test_the_schemas_of_a_skill_follow_default_and_x_optional(install):
    install("acme-gap", skills=["look"])
    skill = Registry.discover().skill("look")
    assert skill.input_schema["required"] == ["log"]
    assert skill.output_schema["required"] == ["score"]
    assert skill.input_schema["additionalProperties"] is False
    assert not skill.is_pipeline


def test_a_second_discovery_reads_no_yaml_and_sees_an_edit(install, monkeypatch):
    folder = install("acme-gap", skills=["look"])
    Registry.discover()
    import realitygap.document as document

    read = []
    load = document.load
    monkeypatch.setattr(document, "load", lambda path: (read.append(Path(path).name), load(path))[1])
    assert Registry.discover().skill("look").summary == "Look."
    assert read == []
    manifest = folder / "skills" / "look" / "skill.yaml"
    manifest.write_text(manifest.read_text().replace("Look.", "Look twice."))
    assert Registry.discover().skill("look").summary == "Look twice."
    assert read == ["skill.yaml"]


def test_a_distribution_installed_later_is_seen(install):
    Registry.discover()
    install("acme-gap", skills=["look"])
    assert "look" in Registry.discover().skills


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"key": 1}', b"\xff\xfe", b'{"files": 3}', b"[" * 100_000])
def test_a_damaged_index_is_made_anew(install, content):
    install("acme-gap", skills=["look"])
    Registry.discover()
    (index,) = cache_directory().glob("index-*.json")
    whole = json.loads(index.read_text())
    index.write_bytes(content)
    assert "look" in Registry.discover().skills
    assert json.loads(index.read_text()).keys() == whole.keys()


def test_an_index_with_wrong_entries_is_read_past(install):
    folder = install("acme-gap", skills=["look"])
    Registry.discover()
    (index,) = cache_directory().glob("index-*.json")
    data = json.loads(index.read_text())
    data["files"] = dict.fromkeys(data["files"], "nonsense")
    data["metadata"] = {name: {"path": 1} for name in data["metadata"]}
    index.write_text(json.dumps(data))
    assert Registry.discover().skill("look").directory == folder / "skills" / "look"


def test_a_cache_that_cannot_be_written_is_no_error(install, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REALITYGAP_CACHE", str(tmp_path / "file" / "below"))
    install("acme-gap", skills=["look"])
    assert "look" in Registry.discover().skills


def test_the_index_is_written_by_rename(tmp_path, monkeypatch):
    index = Index.open()
    (tmp_path / "a.yaml").write_text("a: 1")
    index.read(tmp_path / "a.yaml")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    index.save()
    assert list(cache_directory().iterdir()) == []


def test_nobody_takes_a_name_of_this_distribution(install):
    install("acme-gap", skills=["check-triads"])
    registry = Registry.discover()
    assert registry.skill("check-triads").builtin
    assert registry.skill("acme-gap/check-triads").distribution == "acme-gap"
    assert [(one.name, one.builtin) for one in registry.conflicts] == [("check-triads", True)]


def test_of_two_that_claim_a_name_both_stay_reachable_and_the_bare_name_names_both(install):
    install("acme-gap", skills=["look"])
    install("other-gap", skills=["look"])
    registry = Registry.discover()
    with pytest.raises(InputError, match="claimed by 'acme-gap' and 'other-gap'") as caught:
        registry.skill("look")
    assert "acme-gap/look and other-gap/look" in (caught.value.hint or "")
    assert registry.skill("other-gap/look").distribution == "other-gap"
    assert "look" not in registry.skills


def test_a_plugin_name_that_is_taken_is_an_error_of_the_second(install):
    install("acme-gap", name="triads")
    registry = Registry.discover()
    assert registry.plugins["triads"].distribution == "realitygap"
    assert registry.plugins["acme-gap/triads"].state == "error"
    assert "taken by realitygap" in (registry.plugins["acme-gap/triads"].error or "")


def test_an_unknown_skill_is_answered_with_the_nearest(install):
    install("acme-gap", skills=["look-around"])
    with pytest.raises(InputError, match="unknown skill 'look_around'") as caught:
        Registry.discover().skill("look_around")
    assert caught.value.hint == "did you mean 'look-around'?"


def test_allow_and_deny_lists(install, monkeypatch):
    install("acme-gap", skills=["look"])
    install("other-gap", skills=["peer"])

    def third_parties() -> set[str]:
        return {name for name, skill in Registry.discover().skills.items() if not skill.builtin}

    assert third_parties() == {"look", "peer"}
    monkeypatch.setenv("REALITYGAP_PLUGINS", "other-gap")
    assert third_parties() == {"peer"}
    monkeypatch.setenv("REALITYGAP_PLUGINS", "")
    assert third_parties() == set()
    assert "check-triads" in Registry.discover().skills, "what comes with this distribution stays"
    monkeypatch.delenv("REALITYGAP_PLUGINS")
    monkeypatch.setenv("REALITYGAP_DISABLE_PLUGINS", "other_gap, triads")
    assert third_parties() == {"look"}
    registry = Registry.discover()
    assert registry.plugins["triads"].state == "disabled"
    assert "check-triads" not in registry.skills


def test_broken_manifests_are_kept_apart_with_their_places(install):
    folder = install("acme-gap", skills=["look", "peer", "gaze"])
    (folder / "skills" / "peer" / "skill.yaml").write_text("schema: 1\nname: peer\nname: x\n")
    (folder / "skills" / "gaze" / "skill.yaml").write_text(MANIFEST.format(name="stare", package="acme_gap"))
    registry = Registry.discover()
    assert "look" in registry.skills
    broken = {one.path.parent.name: one.error for one in registry.broken if one.plugin == "acme_gap"}
    assert broken["peer"].where == f"{folder / 'skills' / 'peer' / 'skill.yaml'}:3:1"
    assert "not that of its folder" in broken["gaze"].message
    with pytest.raises(InputError, match="given twice"):
        registry.skill("peer")


@pytest.mark.parametrize(
    ("plugin", "error"),
    [
        ("commands: [x]", "'commands' must be a mapping"),
        ("api2: 1\nhooks: 3", "'hooks' must be a list"),
        ("x: [", "not YAML"),
        ("schema2: 1", None),
    ],
)
def test_a_broken_plugin_manifest_is_an_error_of_that_plugin_alone(install, plugin, error):
    install("acme-gap", plugin=plugin)
    install("other-gap", skills=["peer"])
    registry = Registry.discover()
    assert "peer" in registry.skills
    assert (error or "") in (registry.plugins["acme_gap"].error or "")
    assert (registry.plugins["acme_gap"].state == "error") == (error is not None)


def test_a_folder_of_skills_takes_part_when_it_is_named(tmp_path):
    (tmp_path / "mine" / "look").mkdir(parents=True)
    (tmp_path / "mine" / "look" / "skill.yaml").write_text(MANIFEST.format(name="look", package="acme_gap"))
    assert "look" not in Registry.discover().skills
    registry = Registry.discover(Selection(skills_dirs=(tmp_path / "mine", tmp_path / "gone")))
    assert registry.skill("look").distribution == "workspace"
    assert any("no such folder" in one.error.message for one in registry.broken)


def test_skills_belong_to_the_plugin_with_the_longest_fitting_package():
    registry = Registry.discover()
    assert registry.skill("check-triads").plugin == "triads"
    assert registry.skill("entropy-sim2real").plugin == "realitygap"


def test_packages_are_found_without_importing_them(install):
    folder = install("acme-gap", init="raise RuntimeError")
    (folder / "deep").mkdir()
    (folder / "deep" / "__init__.py").write_text("raise RuntimeError")
    assert package_directories("acme_gap.deep") == [folder / "deep"]
    assert module_file("acme_gap.deep") == folder / "deep" / "__init__.py"
    assert module_file("acme_gap.no") is None
    assert package_directories("no_such_package_at_all") == []


def test_settling_names_by_hand():
    claims = [("a", "realitygap", 1), ("a", "x", 2), ("b", "x", 3), ("b", "y", 4), ("c", "x", 5), ("c", "x", 6)]
    settled, conflicts = settle("skill", claims)
    assert settled == {"a": 1, "x/a": 2, "x/b": 3, "y/b": 4, "c": 5}
    assert [(one.name, one.claimed_by) for one in conflicts] == [("a", ("realitygap", "x")), ("b", ("x", "y"))]


def test_a_missing_extra_is_named_with_its_exact_command(install, monkeypatch):
    folder = install("acme-gap", skills=["look"])
    manifest = folder / "skills" / "look" / "skill.yaml"
    manifest.write_text(manifest.read_text() + "extras: [vision]\n")
    metadata = folder.parent / "acme_gap-0.3.dist-info" / "METADATA"
    metadata.write_text(
        metadata.read_text()
        + "Provides-Extra: vision\nRequires-Dist: click; extra == 'vision'\nRequires-Dist: no-such-distribution-x>=1; extra == 'vision'\n"
    )
    registry = Registry.discover()
    assert registry.missing_extra(registry.skill("look")) == "vision"
    with pytest.raises(InputError, match="needs the extra 'vision'") as caught:
        registry.require_extras(registry.skill("look"))
    assert caught.value.hint == "pip install 'acme-gap[vision]'"
    from realitygap import extras

    monkeypatch.setitem(extras.MARKERS, "sim", ("no_such_module_x",))
    assert registry.missing_extra(registry.skill("entropy-sim2real")) == "sim"
    with pytest.raises(InputError) as caught:
        registry.require_extras(Registry.discover().skill("entropy-sim2real"))
    assert caught.value.hint == "pip install 'realitygap[sim]'"
