"""The static check of a pipeline: everything that can be wrong is found before anything runs, with its place.

Rules RG4xx of `rules.yaml`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from realitygap.document import Document, join
from realitygap.errors import InputError, nearest
from realitygap.findings import Finding, ordered
from realitygap.inputs import types_of
from realitygap.pipeline import Lookup, dependencies, fits, is_optional, item_schema, reference_schema
from realitygap.references import Malformed, Reference, parse_reference, references

if TYPE_CHECKING:
    from realitygap.skill import Skill


@dataclass
class PipelineCheck:
    """Findings of one pipeline, and what could not be told."""

    findings: list[Finding] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    """References whose type could not be compared: `file:line:column: steps.a.outputs.x to b.y`. Not a pass, not a failure."""


def check_pipeline(skill: Skill, document: Document, registry: Lookup) -> PipelineCheck:
    """Checks a pipeline whose manifest has passed its schema; parts of the wrong shape are passed over."""
    return _Checker(skill, document, registry).run()


def require_sound(skill: Skill, registry: Lookup) -> list[str]:
    """Checks a pipeline and those that it uses. Raises InputError with the first finding; gives what could not be checked."""
    unchecked: list[str] = []
    seen: set[str] = set()
    waiting = [skill]
    while waiting:
        current = waiting.pop()
        if current.name in seen or not current.is_pipeline:
            continue
        seen.add(current.name)
        result = check_pipeline(current, current.document(), registry)
        if result.findings:
            first, others = result.findings[0], len(result.findings) - 1
            more = f"(and {others} more: `skills check {current.directory}`)" if others else ""
            hint = " ".join(part for part in (first.hint or "", more) if part)
            raise InputError(f"{first.rule} {first.message}", where=first.where, hint=hint or None)
        unchecked += result.unchecked
        waiting += [registry.skill(str(step["uses"])) for step in current.steps]
    return unchecked


class _Checker:
    def __init__(self, skill: Skill, document: Document, registry: Lookup) -> None:
        self.skill = skill
        self.document = document
        self.registry = registry
        self.result = PipelineCheck()
        data = document.data if isinstance(document.data, dict) else {}
        self.steps = [step if isinstance(step, dict) else {} for step in data.get("steps") or []]
        self.outputs = data.get("outputs") if isinstance(data.get("outputs"), dict) else {}
        self.by_id: dict[str, Mapping[str, Any]] = {}

    def run(self) -> PipelineCheck:
        for index, step in enumerate(self.steps):
            name = str(step.get("id"))
            if name in self.by_id:
                self.find("RG409", f"/steps/{index}/id", f"two steps are called '{name}'", "give one of them another id")
            self.by_id.setdefault(name, step)
        for index, step in enumerate(self.steps):
            self.step(f"/steps/{index}", step)
        for name, value in (self.outputs or {}).items():
            self.output(join("/outputs", name), value)
        self.cycles()
        self.result.findings = ordered(self.result.findings)
        return self.result

    def find(self, rule: str, pointer: str, message: str, hint: str | None = None, *, key: bool = False) -> None:
        self.result.findings.append(Finding.at(self.document, pointer, rule, message, hint=hint, key=key))

    def step(self, pointer: str, step: Mapping[str, Any]) -> None:
        for index, name in enumerate(step.get("needs") or []):
            if name not in self.by_id:
                self.find("RG403", f"{pointer}/needs/{index}", f"unknown step '{name}'", _did_you_mean(str(name), self.by_id))
        item = self.foreach(pointer, step) if "foreach" in step else None
        given = step.get("with") or {}
        if not isinstance(given, dict):
            return
        used = self.used(pointer, step)
        if used is None:
            for place, text in references(given, f"{pointer}/with"):
                self.reference(place, text, in_foreach="foreach" in step)
            return
        for name, value in given.items():
            place = join(f"{pointer}/with", name)
            if name not in used.inputs:
                self.find("RG404", place, f"{used.name} has no input '{name}'", _did_you_mean(name, used.inputs), key=True)
                continue
            self.value(place, value, used.inputs[name], f"{step.get('id')}.{name}", item, "foreach" in step)
        for name, schema in used.inputs.items():
            if name not in given and not is_optional(schema):
                hint = schema.get("description") if isinstance(schema.get("description"), str) else None
                self.find("RG408", f"{pointer}/uses", f"step '{step.get('id')}' does not give {used.name} its input '{name}'", hint)

    def used(self, pointer: str, step: Mapping[str, Any]) -> Skill | None:
        name = str(step.get("uses"))
        try:
            used = self.registry.skill(name)
        except InputError as error:
            self.find("RG401", f"{pointer}/uses", error.message, error.hint)
            return None
        if self._leads_back(used, ()):
            self.find("RG412", f"{pointer}/uses", f"'{used.name}' leads back to '{self.skill.name}'")
            return None
        return used

    def _leads_back(self, used: Skill, seen: tuple[str, ...]) -> bool:
        if used.name == self.skill.name:
            return True
        if not used.is_pipeline or used.name in seen:
            return False
        for step in used.steps:
            try:
                below = self.registry.skill(str(step.get("uses")))
            except InputError:
                continue
            if self._leads_back(below, (*seen, used.name)):
                return True
        return False

    def foreach(self, pointer: str, step: Mapping[str, Any]) -> Mapping[str, Any] | None:
        over = step["foreach"]
        if isinstance(over, list):
            for place, text in references(over, f"{pointer}/foreach"):
                self.reference(place, text)
            return item_schema(step, self.skill, self.by_id, self.registry)
        reference = self.reference(f"{pointer}/foreach", over)
        if reference is None:
            if not (isinstance(over, str) and "${{" in over):
                self.find("RG410", f"{pointer}/foreach", "'foreach' should be a list or a reference to one")
            return None
        schema, optional = reference_schema(reference, self.skill, self.by_id, self.registry)
        if schema is not None and types_of(schema) and "array" not in types_of(schema):
            self.find("RG410", f"{pointer}/foreach", f"'{reference}' is no list but {' or '.join(types_of(schema))}")
        elif optional:
            self.find("RG410", f"{pointer}/foreach", f"'{reference}' may be absent", "give the input a default")
        return item_schema(step, self.skill, self.by_id, self.registry)

    def value(
        self, pointer: str, value: Any, target: Mapping[str, Any], label: str, item: Mapping[str, Any] | None, in_foreach: bool
    ) -> None:
        """A value of `with`: a reference, a literal, or a list or mapping with references inside."""
        inside = list(references(value, pointer))
        if not inside:
            self.literal(pointer, value, target, label)
            return
        for place, text in inside:
            reference = self.reference(place, text, in_foreach=in_foreach)
            if reference is None:
                continue
            if place != pointer:
                self.result.unchecked.append(f"{self.document.where(place)}: {reference} inside {label}")
                continue
            schema, optional = (item, False) if reference.kind == "item" else self.schema_of(reference)
            if optional and not is_optional(target):
                self.find("RG408", place, f"'{reference}' may be absent, and {label} is required", "give it a default")
            if schema is None:
                self.result.unchecked.append(f"{self.document.where(place)}: {reference} to {label}")
                continue
            verdict = _enum_fits(schema, target) if set(schema) == {"enum"} else fits(schema, target)
            if verdict is False:
                self.find("RG406", place, f"{reference} is {_described(schema)}, and {label} takes {_described(target)}")
            elif verdict is None:
                self.result.unchecked.append(f"{self.document.where(place)}: {reference} to {label}")

    def literal(self, pointer: str, value: Any, target: Mapping[str, Any], label: str) -> None:
        from jsonschema import Draft202012Validator

        for error in Draft202012Validator(dict(target)).iter_errors(value):
            place = join(pointer, *(part for part in error.absolute_path))
            close = None
            if error.validator == "enum":
                close = nearest(str(error.instance), [str(choice) for choice in error.validator_value])
            self.find("RG411", place, f"{label}: {error.message}", f"did you mean '{close}'?" if close else None)

    def output(self, pointer: str, value: Any) -> None:
        try:
            reference = parse_reference(value)
        except Malformed:
            self.reference(pointer, value)
            return
        if reference is None:
            self.find("RG402", pointer, "an output of a pipeline is a reference", "for example ${{ steps.ID.outputs.NAME }}")
        else:
            self.reference(pointer, value)

    def reference(self, pointer: str, text: Any, *, in_foreach: bool = False) -> Reference | None:
        """The reference at a place, with findings for what it leads to; None when it leads nowhere."""
        try:
            reference = parse_reference(text)
        except Malformed as error:
            self.find("RG402", pointer, str(error))
            return None
        if reference is None:
            return None
        if reference.kind == "input" and reference.name not in self.skill.inputs:
            self.find("RG404", pointer, f"unknown input '{reference.name}'", _did_you_mean(reference.name, self.skill.inputs))
            return None
        if reference.kind == "item" and not in_foreach:
            self.find("RG410", pointer, "'item' is known only in the `with` of a step with 'foreach'")
            return None
        if reference.kind == "output":
            return reference if self._output_exists(pointer, reference) else None
        return reference

    def _output_exists(self, pointer: str, reference: Reference) -> bool:
        if reference.step not in self.by_id:
            self.find("RG403", pointer, f"unknown step '{reference.step}'", _did_you_mean(reference.step, self.by_id))
            return False
        try:
            used = self.registry.skill(str(self.by_id[reference.step].get("uses")))
        except InputError:
            return False  # reported at that step
        if reference.name not in used.outputs:
            message = f"step '{reference.step}' ({used.name}) has no output '{reference.name}'"
            self.find("RG405", pointer, message, _did_you_mean(reference.name, used.outputs))
            return False
        return True

    def schema_of(self, reference: Reference) -> tuple[Mapping[str, Any] | None, bool]:
        return reference_schema(reference, self.skill, self.by_id, self.registry, (self.skill.name,))

    def cycles(self) -> None:
        after = {name: [one for one in dependencies(step) if one in self.by_id] for name, step in self.by_id.items()}
        cycle = next(_cycles(after), None)
        if cycle is None:
            return
        index = next(number for number, step in enumerate(self.steps) if str(step.get("id")) == cycle[0])
        self.find("RG407", f"/steps/{index}/id", f"steps wait for each other: {' -> '.join([*cycle, cycle[0]])}")


def _cycles(after: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """A cycle of the graph, by depth-first search without recursion."""
    done: set[str] = set()
    for start in after:
        trail: list[str] = []
        stack: list[tuple[str, bool]] = [(start, False)]
        while stack:
            name, leaving = stack.pop()
            if leaving:
                trail.pop()
                done.add(name)
            elif name in trail:
                yield trail[trail.index(name) :]
                return
            elif name not in done:
                trail.append(name)
                stack.append((name, True))
                stack.extend((one, False) for one in after[name])


def _enum_fits(source: Mapping[str, Any], target: Mapping[str, Any]) -> bool:
    from jsonschema import Draft202012Validator

    return all(Draft202012Validator(dict(target)).is_valid(choice) for choice in source["enum"])


def _did_you_mean(name: str, names: Any) -> str:
    close = nearest(name, names)
    return f"did you mean '{close}'?" if close else f"there are: {', '.join(sorted(map(str, names))) or 'none'}"


def _described(schema: Mapping[str, Any]) -> str:
    kinds = " or ".join(types_of(schema)) or "anything"
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if "array" in types_of(schema) and isinstance(schema.get("items"), Mapping) and types_of(schema["items"]):
        return f"{kinds} of {' or '.join(types_of(schema['items']))}"
    needed = [name for name in schema.get("required", ()) if isinstance(name, str)]
    if "object" in types_of(schema) and needed:
        return f"{kinds} with {', '.join(needed)}"
    return f"{kinds} ({schema['format']})" if "format" in schema else kinds
