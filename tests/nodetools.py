"""The conformance suite and the inspector of the protocol, from npm, with a Node that is new enough for them."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGES = {"@modelcontextprotocol/conformance": "0.2.0-alpha.12", "@modelcontextprotocol/inspector": "2.12.0"}
NODE = "22.23.3"
_LEAST = (22, 19)
_MACHINES = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class NodeTools:
    node: str
    modules: Path

    def script(self, package: str, name: str) -> list[str]:
        """The command line of one of a package's programs."""
        about = json.loads((self.modules / package / "package.json").read_text(encoding="utf-8"))
        return [self.node, str(self.modules / package / about["bin"][name])]


def node_tools() -> NodeTools:
    """Installed once, into `REALITYGAP_NODE_TOOLS` or the user's cache folder. Without npm: skips, and under `CI` fails."""
    npm = shutil.which("npm")
    if npm is None:
        if os.environ.get("CI"):
            pytest.fail("npm is needed for the conformance suite of the protocol")
        pytest.skip("no npm")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("REALITYGAP_NODE_TOOLS") or cache / "realitygap" / "node-tools")
    modules = folder / "node_modules"
    wanted = dict(PACKAGES)
    node = shutil.which("node")
    if node is None or _version(node) < _LEAST:
        # The program that the npm package `node` fetches by a script of its own; scripts of packages are not run here.
        package = f"node-linux-{_MACHINES[platform.machine()]}"
        wanted[package] = NODE
        node = str(modules / package / "bin" / "node")
    if any(_installed(modules / name) != version for name, version in wanted.items()):
        folder.mkdir(parents=True, exist_ok=True)
        names = [f"{name}@{version}" for name, version in wanted.items()]
        options = ["--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        subprocess.run([npm, "install", *options, *names], check=True, capture_output=True, timeout=300)
    return NodeTools(node, modules)


def _version(node: str) -> tuple[int, ...]:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in said.strip().lstrip("v").split(".")[:2])


def _installed(package: Path) -> str | None:
    try:
        return str(json.loads((package / "package.json").read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError):
        return None
