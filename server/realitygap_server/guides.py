"""Guides (SKILL.md) of the skills: as resources, for the tool `guide_read`, and through the skills extension of the protocol (SEP-2640).

An entry of the extension names the guide, its frontmatter word for word, and every file of the skill's folder with its SHA-256.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mcp.types as t
from mcp import MCPError
from mcp.server import Server, ServerRequestContext
from mcp.types import INVALID_PARAMS

from realitygap.discovery import Registry
from realitygap.errors import Explained, InputError, unknown
from realitygap.guides import NAME, Guide
from realitygap.skill import Skill
from realitygap_server.artifacts import inside
from realitygap_server.tools import tool_name

EXTENSION = "io.modelcontextprotocol/skills"
SCHEME = "skill://"
MOST_FILES, MOST_BYTES = 512, 16 << 20
"""Of one skill, as the extension has it."""
FRESH_MS = 60_000


class SkillParams(t.RequestParams):
    """Which skill, by the address of its guide."""

    uri: str


class Guides:
    """The guides of a registry's skills."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def attach(self, server: Server[Any]) -> None:
        """Serves `skills/list` and `skills/get`, and says so to clients that discover."""
        server.extensions[EXTENSION] = {}
        server.add_request_handler("skills/list", t.PaginatedRequestParams, self.skills_list)
        server.add_request_handler("skills/get", SkillParams, self.skills_get)

    def names(self) -> list[str]:
        """Skills with a guide that has an address: one whose bare name belongs to another has none."""
        return [name for name, skill in sorted(self.registry.skills.items()) if NAME.match(name) and skill.guide.is_file()]

    def text(self, name: str) -> tuple[str, str]:
        """(name of the skill, its guide) for the name of a skill or of its tool. Raises InputError."""
        names = self.names()
        wanted = next((one for one in names if name in (one, tool_name(one))), None)
        if wanted is None:
            raise unknown("skill", name, names)
        return wanted, self.registry.skills[wanted].guide.read_text(encoding="utf-8", errors="replace")

    def resources(self) -> Iterator[t.Resource]:
        for name in self.names():
            skill = self.registry.skills[name]
            yield t.Resource(
                uri=address(name),
                name=name,
                title=f"Guide of {name}",
                description=skill.summary,
                mime_type="text/markdown",
                annotations=t.Annotations(audience=["assistant"], priority=0.5),
            )

    def file(self, name: str, path: str) -> Path:
        """A file of a skill that has a guide. Raises InputError for whatever is not one of `files`."""
        if name in self.names():
            skill = self.registry.skills[name]
            found = inside(skill.directory, path)
            if path in files(skill):
                return found
        raise InputError("no such file of a skill")

    async def skills_list(self, ctx: ServerRequestContext[Any], params: t.PaginatedRequestParams) -> dict[str, Any]:
        entries = []
        for name in self.names():
            try:
                entries.append(entry(self.registry.skills[name]))
            except Explained:  # a broken guide is a finding of `skills check`, and costs the others nothing
                continue
        return {"skills": entries, "ttlMs": FRESH_MS, "cacheScope": "private"}

    async def skills_get(self, ctx: ServerRequestContext[Any], params: SkillParams) -> dict[str, Any]:
        for name in self.names():
            if params.uri == address(name):
                return {"skill": entry(self.registry.skills[name]), "ttlMs": FRESH_MS, "cacheScope": "private"}
        raise MCPError(INVALID_PARAMS, f"No skill is served at {params.uri}")


def address(name: str, path: str = "SKILL.md") -> str:
    return f"{SCHEME}{name}/{path}"


def entry(skill: Skill) -> dict[str, Any]:
    """A skill as the extension lists it. Raises InputError where its guide cannot be read."""
    resources = []
    for path in files(skill):
        data = (skill.directory / path).read_bytes()
        resources.append({"uri": address(skill.name, path), "digest": "sha256:" + hashlib.sha256(data).hexdigest(), "size": len(data)})
    return {"uri": address(skill.name), "frontmatter": Guide.load(skill.guide).frontmatter.data, "resources": resources}


def files(skill: Skill) -> list[str]:
    """Names of the files of a skill's folder, the guide first; links, hidden files and what exceeds the limits are left out."""
    found = ["SKILL.md"]
    size = skill.guide.stat().st_size
    for folder, subfolders, names in os.walk(skill.directory, followlinks=False):
        subfolders[:] = sorted(one for one in subfolders if not one.startswith((".", "__")))
        for name in sorted(names):
            path = Path(folder, name)
            relative = path.relative_to(skill.directory).as_posix()
            if name.startswith(".") or relative == "SKILL.md" or path.is_symlink() or not path.is_file():
                continue
            size += path.stat().st_size
            if size > MOST_BYTES or len(found) == MOST_FILES:
                return found
            found.append(relative)
    return found
