"""From the name that an author gives to all the names of a package."""

from __future__ import annotations

import builtins
import keyword
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from realitygap.errors import InputError

if TYPE_CHECKING:
    from realitygap.discovery import Registry

KINDS = ("skill", "observation", "reward", "divergence", "check", "pipeline")
LONGEST = 40
"""Characters of a name. Lines of the templates that hold it stay within their limit."""

_FORM = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_USED_BY_TEMPLATES = frozenset({
    "annotations", "bins", "both", "caught", "column", "compute", "divergence", "edges", "floats", "hip", "hookimpl", "jax", "jnp",
    "joints", "knee", "measure", "name", "names", "need", "needs", "np", "observation", "p", "pytest", "q", "real", "register", "reward",
    "robot", "scalar_joints", "scene", "scene_of", "sequence", "sim", "speed", "term", "value_at", "values", "velocity_n", "view", "x",
})  # fmt: skip
"""Names in the modules of the templates that a function of the same name would hide."""
_YAML_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off"})
"""Words that some reader of YAML takes for a truth value, or for nothing."""

_SUMMARIES = {
    "skill": "Measure how evenly a log was sampled.",
    "observation": "Root mean square of joint velocities.",
    "reward": "Being at rest - 1 where no joint moves, less the faster they do.",
    "divergence": "Hellinger distance of histograms, in [0, 1].",
    "check": "Ask that every output of a skill says what it is.",
    "pipeline": "Replay logs through a model, and compare what came out with what was measured.",
}


@dataclass(frozen=True, kw_only=True)
class Names:
    """All the names of one package."""

    name: str
    """As given: lower case words joined by hyphens."""
    kind: str
    """One of `KINDS`."""

    @property
    def component(self) -> str:
        """The name in Python: that of the plugin, of the component and of its function."""
        return self.name.replace("-", "_")

    @property
    def distribution(self) -> str:
        return f"realitygap-{self.name}"

    @property
    def package(self) -> str:
        return f"realitygap_{self.component}"

    @property
    def skill(self) -> str:
        """A skill is called what it is; the other kinds bring a skill that tries them."""
        return self.name if self.kind in ("skill", "pipeline") else f"try-{self.name}"

    @property
    def title(self) -> str:
        return self.name.replace("-", " ").capitalize()

    @property
    def summary(self) -> str:
        return _SUMMARIES[self.kind]

    @property
    def prefix(self) -> str:
        """Of the codes of a check's rules: two to eight capital letters."""
        return re.sub(r"[^A-Z]", "", self.name.upper())[:8].ljust(2, "X")

    @property
    def needs_sim(self) -> bool:
        return self.kind not in ("skill", "check")


def checked(name: str, kind: str, registry: Registry) -> Names:
    """The names for a package. Raises `InputError` for a name of another form, or one that somebody has."""
    if not _FORM.fullmatch(name):
        close = "-".join(re.findall(r"[a-z]+[0-9]*|[0-9]+", re.sub(r"(?<=[a-z0-9])([A-Z])", r"-\1", name).lower())).lstrip("-0123456789")
        raise InputError(
            f"'{name}' is no name: lower case letters and digits, words joined by single hyphens, a letter first",
            hint=f"for example '{close}'" if close and _FORM.fullmatch(close) else "for example 'joint-speed'",
        )
    if name.startswith("realitygap-") or name == "realitygap":
        rest = name.removeprefix("realitygap").lstrip("-") or "joint-speed"
        raise InputError(f"'{name}': the distribution is called realitygap-NAME by itself", hint=f"leave it out: '{rest}'")
    if not 2 <= len(name) <= LONGEST:
        raise InputError(f"'{name}' has {len(name)} characters; 2 to {LONGEST} are allowed")
    names = Names(name=name, kind=kind)
    if keyword.iskeyword(names.component) or keyword.issoftkeyword(names.component) or hasattr(builtins, names.component):
        raise InputError(f"'{name}' is a word of Python, and a function is called so", hint=f"for example '{name}-of-joints'")
    if name in _YAML_WORDS:
        raise InputError(f"'{name}' is no text in YAML, in which skills are named", hint=f"for example '{name}-of-joints'")
    if names.component in _USED_BY_TEMPLATES:
        raise InputError(f"'{name}' is what the code around it calls something else", hint=f"say which, for example 'joint-{name}'")
    _free(names, registry)
    return names


def _free(names: Names, registry: Registry) -> None:
    """Raises `InputError` where a skill, a component or a plugin of that name is there already."""
    taken = [("skill", registry.skills[names.skill].distribution)] if names.skill in registry.skills else []
    taken += [("plugin", one.distribution) for one in registry.plugins.values() if one.name == names.component]
    if names.component in registry.catalog.names(names.kind):
        taken.append((names.kind, registry.catalog.get(names.kind, names.component).distribution))
    if names.kind == "check":
        # RG101 belongs to realitygap, and R would claim it.
        claimed = [("realitygap", "RG"), *((one.distribution, prefix) for one in registry.active_plugins for prefix in one.checks)]
        overlap = [one for one, prefix in claimed if prefix.startswith(names.prefix) or names.prefix.startswith(prefix)]
        taken += [("rule prefix", one) for one in overlap]
    for what, distribution in taken:
        # An author who generates his own plugin anew has it installed.
        if distribution != names.distribution:
            called = {"skill": names.skill, "plugin": names.component, "rule prefix": names.prefix}.get(what, names.component)
            raise InputError(f"{what} '{called}' belongs to {distribution}", hint="choose another name")
