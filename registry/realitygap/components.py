"""Components: named building blocks that plugins give to task files, domains and skills.

A component is a kind, a name, a factory and the JSON Schema of its parameters, as `plugin.yaml` declares them. The factory is imported
when the component is used, so a catalog of hundreds costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from realitygap.errors import InputError, unknown
from realitygap.skill import object_schema

if TYPE_CHECKING:
    from realitygap.discovery import Conflict, Registry
    from realitygap.schema import Problem

KINDS = (
    "action",
    "actuator",
    "command",
    "curriculum",
    "distribution",
    "divergence",
    "estimator",
    "event",
    "executor",
    "health",
    "noise",
    "observation",
    "randomizer",
    "reader",
    "reset",
    "reward",
    "success",
    "termination",
    "trainer",
)
"""Kinds that something here asks for. A plugin may bring a kind of its own; `skills check` then asks whether it was meant."""


@dataclass(frozen=True, kw_only=True)
class Component:
    """A named building block."""

    kind: str
    name: str
    factory: str
    """`module:attribute`."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Parameter name to JSON Schema; one without `default` is required unless it says `x-optional`."""
    extras: tuple[str, ...] = ()
    """Extras of its distribution that it needs."""
    summary: str = ""
    plugin: str
    distribution: str

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema of all parameters as one object."""
        return object_schema(self.parameters)

    def with_defaults(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters with the defaults of those not given."""
        defaults = {name: schema["default"] for name, schema in self.parameters.items() if "default" in schema}
        return {**defaults, **parameters}


class ComponentError(InputError):
    """An unknown component or a wrong parameter; `pointer` says where in the document, for `Document.locating`."""

    def __init__(self, message: str, *, pointer: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.pointer = pointer


class Catalog:
    """The components of a registry, by kind and name."""

    def __init__(self, registry: Registry) -> None:
        from realitygap.discovery import settle

        claims: dict[str, list[tuple[str, str, Component]]] = {}
        for record in registry.active_plugins:
            for one in record.components:
                component = Component(
                    kind=one["kind"],
                    name=one["name"],
                    factory=one["factory"],
                    parameters=one.get("parameters", {}),
                    extras=tuple(one.get("extras", ())),
                    summary=one.get("summary", ""),
                    plugin=record.name,
                    distribution=record.distribution,
                )
                claims.setdefault(component.kind, []).append((component.name, component.distribution, component))
        self._kinds: dict[str, dict[str, Component]] = {}
        self.conflicts: list[Conflict] = []
        for kind, claimed in claims.items():
            self._kinds[kind], conflicts = settle(kind, claimed)
            self.conflicts += conflicts

    def kinds(self) -> list[str]:
        return sorted(self._kinds)

    def names(self, kind: str) -> list[str]:
        """Names of a kind, sorted; empty for a kind that nobody has."""
        return sorted(self._kinds.get(kind, ()))

    def get(self, kind: str, name: str, *, pointer: str = "") -> Component:
        """The component of a name or `distribution/name`.

        Args:
            pointer: where in a document the name stands, for the error.

        Raises:
            ComponentError: nobody has the name (with the nearest), or several claim it.
        """
        known = self._kinds.get(kind, {})
        if name in known:
            return known[name]
        for conflict in self.conflicts:
            if conflict.kind == kind and conflict.name == name:
                error = conflict.error()
                raise ComponentError(error.message, pointer=pointer, hint=error.hint)
        distribution, _, bare = name.partition("/")
        if bare in known and known[bare].distribution == distribution:
            return known[bare]
        error = unknown(kind, name, known)
        raise ComponentError(error.message, pointer=pointer, hint=error.hint)

    def problems(self, kind: str, name: str, parameters: Mapping[str, Any]) -> list[Problem]:
        """What is wrong with the parameters; each `pointer` counts from the parameters. Raises `ComponentError` for an unknown name."""
        from realitygap.schema import problems

        return problems(dict(parameters), self.get(kind, name).schema)

    def check(self, kind: str, name: str, parameters: Mapping[str, Any], *, pointer: str = "") -> dict[str, Any]:
        """The parameters with defaults filled in. Raises `ComponentError` at the first that is wrong."""
        component = self.get(kind, name, pointer=pointer)
        for problem in self.problems(kind, name, parameters):
            raise ComponentError(f"{kind} '{name}': {problem.message}", pointer=pointer + problem.pointer, hint=problem.hint)
        return component.with_defaults(parameters)

    def load(self, kind: str, name: str, *, pointer: str = "") -> Callable[..., Any]:
        """The factory, imported now. Raises `ComponentError` where it is unknown or cannot be imported."""
        component = self.get(kind, name, pointer=pointer)
        try:
            factory: Callable[..., Any] = load_object(component.factory)
        except InputError as error:
            message = f"{kind} '{name}' of plugin '{component.plugin}': {error.message}"
            raise ComponentError(message, pointer=pointer, hint=error.hint) from error
        return factory


def load_object(path: str) -> Any:
    """The object of `module:attribute`. Raises `InputError` where one of them does not exist; what the module raises passes."""
    module_name, _, attributes = path.partition(":")
    try:
        value: Any = import_module(module_name)
    except ModuleNotFoundError as error:
        from realitygap.extras import extra_of

        extra = extra_of(error.name or "")
        hint = f"pip install 'realitygap[{extra}]'" if extra else None
        raise InputError(f"module '{error.name}' is not installed, which '{path}' needs", hint=hint) from error
    for attribute in attributes.split("."):
        try:
            value = getattr(value, attribute)
        except AttributeError:
            raise unknown(
                f"attribute of module '{module_name}'", attribute, [one for one in dir(value) if not one.startswith("_")]
            ) from None
    return value
