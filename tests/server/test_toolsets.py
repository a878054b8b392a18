"""Which tools a server offers, and that those it does not offer cannot be called either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError

from realitygap.discovery import WORKSPACE, Registry
from realitygap.errors import InputError
from realitygap.skill import Skill
from realitygap_server.bridge import Bridge
from realitygap_server.tools import LONGEST_DESCRIPTION, tool_name
from realitygap_server.toolsets import MOST_DEFAULT_TOOLS, SPINE, TOOLSETS, Choice, table

HANDLES = ["run_status", "run_result", "run_cancel", "run_list", "artifact_read", "guide_read"]
DOCS = Path(__file__).parents[2] / "docs" / "server.md"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry([], [skill for skill in Registry.discover().skills.values() if skill.builtin])


def offered(registry: Registry, choice: Choice | None = None) -> list[str]:
    bridge = Bridge(registry, choice=choice)

    async def names() -> list[str]:
        async with Client(bridge.server) as client:
            return [tool.name for tool in (await client.list_tools()).tools]

    return anyio.run(names)


def foreign(tmp_path: Path, name: str, **more: Any) -> Skill:
    values = {"inputs": {}, "outputs": {}, "plugin": "acme", "distribution": "acme-gap"} | more
    return Skill(name=name, version="0.1.0", trit=0, summary="Measures.", entry="a:b", directory=tmp_path, **values)


def test_the_default_toolset_is_the_spine_and_at_most_thirty_tools(registry: Registry) -> None:
    spine = {name for toolset in SPINE for name in TOOLSETS[toolset]}
    names = offered(registry)
    assert set(names) == {tool_name(name) for name in spine if name in registry.skills} | set(HANDLES)
    assert {"entropy_sim2real", "train_policy", "check_triads"} <= set(names)
    assert len(names) <= MOST_DEFAULT_TOOLS


def test_the_instructions_fit_and_name_no_tool_that_is_not_offered(registry: Registry) -> None:
    told = Bridge(registry).server.instructions or ""
    assert "entropy_sim2real" in told
    assert len(told) <= LONGEST_DESCRIPTION
    assert "entropy_sim2real" not in (Bridge(registry, choice=Choice.of(tools="check_triads")).server.instructions or "")


def test_every_skill_of_this_distribution_is_in_a_toolset_and_no_toolset_names_another(registry: Registry) -> None:
    reachable = offered(registry, Choice(toolsets=tuple(table(registry.skills.values()))))
    assert set(reachable) == {tool_name(name) for name in registry.skills} | set(HANDLES)
    assert {name for names in TOOLSETS.values() for name in names} <= set(registry.skills)
    assert len(registry.skills) + len(HANDLES) == len(offered(registry, Choice(toolsets=("all",))))


def test_toolsets_and_tools_add_up_and_tools_alone_are_all(registry: Registry) -> None:
    assert offered(registry, Choice.of(tools="check_triads")) == ["check_triads", *HANDLES]
    assert offered(registry, Choice.of(tools="check-triads, run_list")) == ["check_triads", *HANDLES]
    assert offered(registry, Choice.of(toolsets="triads,domains", tools="export_policy")) == [
        "adapt_domain", "check_triads", "export_policy", "import_skills", "randomize_domain", "suggest_triads", *HANDLES,
    ]  # fmt: skip
    assert Choice.of() == Choice()
    assert Choice.of(read_only=True).toolsets == Choice().toolsets


def test_skills_of_the_user_are_offered_and_those_of_other_plugins_by_their_toolset(registry: Registry, tmp_path: Path) -> None:
    own = foreign(tmp_path, "own-skill", plugin=WORKSPACE, distribution=WORKSPACE)
    other = foreign(tmp_path, "other-skill")
    bold = foreign(tmp_path, "bold-skill", plugin="default")
    more = Registry([], [*registry.every_skill, own, other, bold])
    assert "own_skill" in offered(more)
    assert not {"other_skill", "bold_skill"} & set(offered(more))
    assert offered(more, Choice.of(toolsets="acme-gap/default")) == ["bold_skill", *HANDLES]
    assert "own_skill" not in offered(more, Choice.of(toolsets="default"))
    assert offered(more, Choice.of(toolsets="acme")) == ["other_skill", *HANDLES]


@pytest.mark.parametrize(
    ("choice", "message", "hint"),
    [
        (Choice.of(toolsets="defualt"), "unknown toolset 'defualt'", "did you mean 'default'?"),
        (Choice.of(tools="check_triad"), "unknown tool 'check_triad'", "did you mean 'check_triads'?"),
    ],
)
def test_a_name_that_does_not_exist_is_refused_at_the_start(registry: Registry, choice: Choice, message: str, hint: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Bridge(registry, choice=choice)
    assert caught.value.hint == hint


@pytest.mark.parametrize("options", [{"tools": ","}, {"tools": ""}, {"toolsets": ""}, {"toolsets": " , ", "tools": "check_triads"}])
def test_a_choice_that_names_nothing_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"--{next(iter(options))} names nothing"):
        Choice.of(**options)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_cursor_that_was_never_given_is_refused_in_every_list(registry: Registry, tmp_path: Path, mode: str) -> None:
    bridge = Bridge(registry, tmp_path)

    async def talk() -> None:
        async with Client(bridge.server, mode=mode) as client:
            for ask in (client.list_tools, client.list_prompts, client.list_resources, client.list_resource_templates):
                await ask()
                with pytest.raises(MCPError) as caught:
                    await ask(cursor="x")
                assert caught.value.code == -32602

    anyio.run(talk)


def test_read_only_wins_over_the_others_and_holds_when_a_tool_is_called(registry: Registry, tmp_path: Path) -> None:
    bridge = Bridge(registry, tmp_path, choice=Choice.of(toolsets="all", tools="train_policy,run_cancel", read_only=True))

    async def talk() -> None:
        async with Client(bridge.server) as client:
            tools = (await client.list_tools()).tools
            assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
            assert {"check_triads", "run_status"} <= {tool.name for tool in tools}
            # A prompt that needs what is not offered would lead nowhere.
            assert [prompt.name for prompt in (await client.list_prompts()).prompts] == ["balance-my-triads"]
            for name, arguments in (("train_policy", {}), ("entropy_sim2real", {}), ("run_cancel", {"run_id": "x"})):
                with pytest.raises(MCPError) as caught:
                    await client.call_tool(name, arguments)
                assert caught.value.code == -32602
        assert not list(tmp_path.rglob("run.json"))

    anyio.run(talk)


def test_a_tool_that_was_not_chosen_cannot_be_called(registry: Registry, tmp_path: Path) -> None:
    bridge = Bridge(registry, tmp_path, choice=Choice.of(tools="check_triads"))

    async def talk() -> None:
        async with Client(bridge.server, mode="legacy") as client:
            with pytest.raises(MCPError, match="not offered by this server: train_policy"):
                await client.call_tool("train_policy", {})

    anyio.run(talk)


def test_the_documentation_lists_the_toolsets_as_they_are(registry: Registry) -> None:
    text = DOCS.read_text(encoding="utf-8")
    for toolset, skills in table(registry.skills.values()).items():
        mark = "yes" if toolset in SPINE else "no"
        assert f"| `{toolset}` | {mark} | {', '.join(f'`{tool_name(name)}`' for name in skills)} |" in text, toolset
