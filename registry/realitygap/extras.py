"""Which extras are installed, seen without importing anything."""

from __future__ import annotations

from importlib.util import find_spec

MARKERS: dict[str, tuple[str, ...]] = {
    "sim": ("jax", "mujoco", "mujoco/mjx", "equinox", "optax", "numpy", "scipy", "pyarrow", "h5py", "matplotlib"),
    "mcp": ("mcp",),
    "onnx": ("onnx",),  # files are written without onnxruntime, which the extra brings too; only checking them needs it
    "ray": ("ray",),
}
"""Extra of this distribution to modules that only it brings; `a/b` is a folder of package `a` that another distribution adds."""


def missing(extra: str, distribution: str = "realitygap") -> list[str]:
    """What an extra should have brought and is not there; empty when it is installed.

    For this distribution's extras by their modules, for a third party's by its metadata.
    """
    if extra in MARKERS and (distribution == "realitygap" or not _provides(distribution, extra)):
        return [module for module in MARKERS[extra] if not _has_module(module)]
    if distribution == "realitygap":
        return [] if extra in ("all", "dev") else [extra]
    return _missing_requirements(distribution, extra)


def install_line(extra: str, distribution: str = "realitygap") -> str:
    """The exact command that installs an extra."""
    provider = distribution if distribution != "realitygap" and _provides(distribution, extra) else "realitygap"
    return f"pip install '{provider}[{extra}]'"


def known(extra: str, distribution: str = "realitygap") -> bool:
    """Whether the distribution, or this one, has an extra of that name."""
    return extra in MARKERS or _provides(distribution, extra)


def extra_of(module: str) -> str | None:
    """The extra of this distribution that brings a module."""
    top = module.partition(".")[0]
    return next((extra for extra, modules in MARKERS.items() if top in modules), None)


def _has_module(module: str) -> bool:
    top, _, folder = module.partition("/")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return False
    if spec is None or not folder:
        return spec is not None
    from pathlib import Path

    return any(Path(location, folder).is_dir() for location in spec.submodule_search_locations or ())


def _provides(distribution: str, extra: str) -> bool:
    from importlib.metadata import PackageNotFoundError, metadata

    try:
        return extra in (metadata(distribution).get_all("Provides-Extra") or ())
    except (PackageNotFoundError, ValueError):
        return False


def _missing_requirements(distribution: str, extra: str) -> list[str]:
    """Names of the distributions that the extra requires and that are not installed. Markers other than the extra are left to pip."""
    import re
    from importlib.metadata import PackageNotFoundError, requires, version

    try:
        lines = requires(distribution) or []
    except PackageNotFoundError:
        return [distribution]
    absent = []
    for line in lines:
        requirement, _, marker = line.partition(";")
        if not re.search(rf"extra\s*==\s*['\"]{re.escape(extra)}['\"]", marker) or re.search(r"python_version|platform|sys_", marker):
            continue
        name = re.match(r"[A-Za-z0-9._-]+", requirement.strip())
        bracket = re.search(r"\[([^\]]*)\]", requirement)
        if name is None:
            continue
        try:
            version(name[0])
        except PackageNotFoundError:
            absent.append(name[0])
        else:
            # realitygap[sim] behind acme[sim]
            if name[0].lower() != distribution.lower():
                for inner in bracket[1].split(",") if bracket else []:
                    absent += missing(inner.strip(), name[0])
    return absent
