"""The hooks of a plugin. Version 1 (`api: 1` in `plugin.yaml`).

An implementation takes the arguments it needs, by name. `plugin.yaml` lists the hooks a module implements; the module is imported when one
of them is called.

    # acme_gap/plugin.py
    from realitygap import hookimpl
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

if TYPE_CHECKING:
    import click

    from realitygap.findings import Finding

hookspec = pluggy.HookspecMarker("realitygap")
hookimpl = pluggy.HookimplMarker("realitygap")

CheckFunction = Callable[..., "Iterable[Finding]"]
"""Gets the registry, including what is being checked, and the skills (`Sequence[Skill]`) that are being checked; and `paths`, if it has an
argument of this name: the files and folders that the user asked for, none where everything installed is checked."""


class RegisterCheck(Protocol):
    def __call__(self, rule_prefix: str, function: CheckFunction) -> None: ...


class RegisterCommand(Protocol):
    def __call__(self, command: click.Command) -> None: ...


class RegisterComponent(Protocol):
    def __call__(self, kind: str, name: str, factory: Callable[..., Any]) -> None: ...


class RegisterNamed(Protocol):
    def __call__(self, name: str, factory: Callable[..., Any]) -> None: ...


@hookspec
def realitygap_register_checks(register: RegisterCheck) -> None:
    """Static rules for `skills check`.

    `function(registry, skills)` yields findings whose codes begin with `rule_prefix`, which `plugin.yaml` lists under `checks`. It reads
    manifests and documents, never imports what they name, and must work without any extra. `function(registry, skills, paths)` also gets
    the files and folders that are checked, for rules about documents that are no manifests.

    Example:

        @hookimpl
        def realitygap_register_checks(register):
            register("ACME", units_are_given)

        def units_are_given(registry, skills):
            for skill in skills:
                for name, schema in skill.outputs.items():
                    if isinstance(schema, dict) and schema.get("type") == "number" and "x-unit" not in schema:
                        yield Finding.at(skill.document(), f"/outputs/{name}", "ACME101", f"'{name}' has no unit", severity="warning")
    """


@hookspec
def realitygap_register_commands(register: RegisterCommand) -> None:
    """Commands of the `skills` program, each a click command by the name that `plugin.yaml` lists under `commands`.

    The program imports a command from there, when it is called; this hook is for whoever wants them all, and must agree.

    Example:

        @hookimpl
        def realitygap_register_commands(register):
            from acme_gap.commands import init_acme
            register(init_acme)
    """


@hookspec
def realitygap_register_components(register: RegisterComponent) -> None:
    """Building blocks that task files, domains and skills name: observations, rewards, resets, distributions, divergences, trainers ...

    `plugin.yaml` lists each under `components` with the JSON Schema of its parameters; the factories here must be those.

    Example:

        @hookimpl
        def realitygap_register_components(register):
            from acme_gap.terms import foot_clearance
            register("observation", "foot_clearance", foot_clearance)
    """


@hookspec
def realitygap_register_readers(register: RegisterNamed) -> None:
    """Formats of recordings; `plugin.yaml` lists each as a component of kind `reader`.

    `factory()` gives an object with `matches(path) -> bool` and `read(path)`.

    Example:

        @hookimpl
        def realitygap_register_readers(register):
            from acme_gap.readers import AcmeLog
            register("acme-log", AcmeLog)
    """


@hookspec
def realitygap_register_executors(register: RegisterNamed) -> None:
    """Places where steps run. `plugin.yaml` lists each as a component of kind `executor`, with the `extras` that it needs.

    `factory(folder=..., jobs=...)` gives an `Executor` (see `executor`), once a run; `skills run --executor NAME` chooses it.

    Example:

        @hookimpl
        def realitygap_register_executors(register):
            from acme_gap.slurm import SlurmExecutor
            register("slurm", SlurmExecutor)
    """


@hookspec
def realitygap_before_step(run: str, step: str, skill: str, inputs: Mapping[str, Any]) -> None:
    """Called before a step executes; not for a step whose result is taken from the cache. An exception is noted and stops nothing.

    `run` is the run's identifier, `step` that of the step, `skill` the name of its skill.

    Example:

        @hookimpl
        def realitygap_before_step(run, step):
            print(f"{run}: {step} begins", file=sys.stderr)
    """


@hookspec
def realitygap_after_step(run: str, step: str, skill: str, outputs: Mapping[str, Any], seconds: float) -> None:
    """Called after a step has put out its outputs.

    Example:

        @hookimpl
        def realitygap_after_step(step, seconds):
            gauge("step_seconds", seconds, step=step)
    """


@hookspec
def realitygap_on_step_error(run: str, step: str, skill: str, error: Mapping[str, Any]) -> None:
    """Called when a step has failed; `error` holds `message`, `where` and `hint`.

    Example:

        @hookimpl
        def realitygap_on_step_error(run, step, error):
            notify(f"{run} {step}: {error['message']}")
    """
