"""Which skills a server offers as tools. Chosen when it starts, and the same for every client until it ends."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from realitygap.discovery import WORKSPACE
from realitygap.errors import InputError, unknown
from realitygap.skill import Skill

TOOLSETS: Mapping[str, tuple[str, ...]] = {
    "recordings": ("import-recording", "replay-recording", "compare-domains"),
    "identification": ("diagnose-transfer", "identify-parameters"),
    "domains": ("adapt-domain", "randomize-domain"),
    "training": ("describe-task", "list-components", "train-policy"),
    "proof": ("evaluate-policy", "validate-transfer"),
    "triads": ("check-triads", "import-skills", "suggest-triads"),
    "composite": ("entropy-sim2real", "kscale-ksim", "sim2real-predictive-coding"),
    "deployment": ("export-policy", "replay-run"),
    "simulation": ("rollout-policy", "simulate-rollout"),
}
"""Skills of this distribution by toolset."""
SPINE = ("recordings", "identification", "domains", "training", "proof", "triads", "composite")
"""The toolsets that make up `default`: from a recording to a policy that is proven, and nothing beside it."""
DEFAULT, ALL = "default", "all"
MOST_DEFAULT_TOOLS = 30
"""Models choose worse among more, and some clients cut the list."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What `skills serve` was told to offer."""

    toolsets: tuple[str, ...] = (DEFAULT, WORKSPACE)
    """Names of `TOOLSETS`, `default`, `all`, `workspace` for skills of the user's own folder, or a plugin's name for its other skills."""
    tools: tuple[str, ...] = ()
    """Tools, or skills, in addition."""
    read_only: bool = False
    """Only tools that change nothing. It wins over the others, and holds when a tool is called, not only in the list."""

    @classmethod
    def of(cls, *, toolsets: str | None = None, tools: str | None = None, read_only: bool = False) -> Choice:
        """The choice of comma-separated names. Tools alone are all that is offered; without both it is the default.

        Raises InputError for a text without a name.
        """
        if toolsets is None and tools is None:
            return cls(read_only=read_only)
        return cls(toolsets=_names("--toolsets", toolsets), tools=_names("--tools", tools), read_only=read_only)


def toolsets_of(skill: Skill) -> tuple[str, ...]:
    """The toolsets that a skill belongs to, `all` aside."""
    if skill.distribution == WORKSPACE:
        return (WORKSPACE,)
    own = tuple(name for name, skills in TOOLSETS.items() if skill.builtin and skill.name in skills)
    if not own:
        taken = skill.plugin in (DEFAULT, ALL, WORKSPACE, *TOOLSETS)
        return (f"{skill.distribution}/{skill.plugin}" if taken else skill.plugin,)
    return (*own, DEFAULT) if set(own) & set(SPINE) else own


def chosen(skills: Mapping[str, Skill], choice: Choice, tool_names: Mapping[str, str], always: Collection[str] = ()) -> set[str]:
    """The names, of `skills`, that are offered.

    Args:
        tool_names: name of a skill to that of its tool; a choice may say either.
        always: tools that are offered without being asked for, which a choice may name all the same.

    Raises:
        InputError: a toolset or tool that does not exist, with the nearest.
    """
    members = {name: toolsets_of(skill) for name, skill in skills.items()}
    known = {DEFAULT, ALL, WORKSPACE, *TOOLSETS, *(one for sets in members.values() for one in sets)}
    for toolset in choice.toolsets:
        if toolset not in known:
            raise unknown("toolset", toolset, sorted(known))
    by_tool = {tool: name for name, tool in tool_names.items()}
    named = set()
    for tool in choice.tools:
        name = tool if tool in skills else by_tool.get(tool)
        if name is not None:
            named.add(name)
        elif tool not in always:
            raise unknown("tool", tool, sorted({*by_tool, *always}))
    wanted = set(choice.toolsets)
    return {
        name
        for name, skill in skills.items()
        if (name in named or ALL in wanted or wanted & set(members[name])) and not (choice.read_only and skill.effects != "none")
    }


def table(skills: Iterable[Skill]) -> dict[str, list[str]]:
    """Toolset to the names of its skills, in the order of `TOOLSETS`, then the others by name."""
    found: dict[str, list[str]] = {name: [] for name in TOOLSETS}
    for skill in sorted(skills, key=lambda one: one.name):
        for name in toolsets_of(skill):
            if name != DEFAULT:
                found.setdefault(name, []).append(skill.name)
    return {name: names for name, names in found.items() if names}


def _names(option: str, text: str | None) -> tuple[str, ...]:
    names = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    if text is not None and not names:
        raise InputError(f"{option} names nothing", hint="leave it out for the default")
    return names
