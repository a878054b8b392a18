"""Values against JSON Schema: problems that a person can act on, and findings with places."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from realitygap.document import Document, join, load
from realitygap.errors import nearest
from realitygap.findings import Finding
from realitygap.validator import admits, fits, quick

Kind = Literal["skill", "pipeline", "plugin", "task", "domain", "mapping", "rules"]
KINDS: tuple[Kind, ...] = ("skill", "pipeline", "plugin", "task", "domain", "mapping")
"""Those that a user writes as files of their own."""

_NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a value."""

    pointer: str
    """JSON pointer of the value."""
    message: str
    hint: str | None = None
    on_key: bool = False
    """Whether the key is wrong rather than the value."""


def validate(document: Document, kind: Kind) -> list[Finding]:
    """Findings (RG1xx) of a document against its schema, in the order of the document."""
    if _fits(document.data, kind):
        return []
    found = [
        Finding.at(
            document,
            problem.pointer,
            "RG102" if problem.on_key else _RULES.get(keyword, "RG101"),
            problem.message,
            hint=problem.hint,
            key=problem.on_key,
        )
        for keyword, problem in _problems(document.data, schema_of(kind), document)
    ]
    return sorted(found, key=lambda one: (one.line, one.column))


def require(document: Document, kind: Kind) -> Document:
    """The document itself. Raises `InputError` with the first finding, and how many more there are."""
    if _fits(document.data, kind):
        return document
    problems = sorted(
        (problem for _, problem in _problems(document.data, schema_of(kind), document)), key=lambda one: document.locate(one.pointer)
    )
    if problems:
        first = problems[0]
        more = f" (and {len(problems) - 1} more: `skills check {document.shown}`)" if len(problems) > 1 else ""
        raise document.error(first.pointer, first.message + more, hint=first.hint, key=first.on_key)
    return document


def read_document(path: str | os.PathLike[str], kind: Kind) -> Document:
    """Reads a document and holds it against its schema. Raises `InputError` with file:line:column."""
    return require(load(path), kind)


def problems(value: Any, schema: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with a value. Raises `InputError` where the schema itself is none."""
    return [] if fits(value, schema) else [problem for _, problem in _problems(value, schema, None)]


def schema_of(kind: str) -> dict[str, Any]:
    """The published schema of a kind of document."""
    return _read(kind)


@lru_cache
def _read(kind: str) -> dict[str, Any]:
    text = (Path(__file__).parent / "schemas" / f"{kind}.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


_RULES = {
    "additionalProperties": "RG102",
    "required": "RG103",
    "type": "RG104",
    "enum": "RG105",
    "const": "RG105",
    "propertyNames": "RG102",
}


@lru_cache
def _published() -> Any:
    from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]
    from referencing import Resource

    # Crawled once: looking an anchor up in a registry that is not crawls it anew each time.
    return REGISTRY.with_resources([(schema_of(kind)["$id"], Resource.from_contents(schema_of(kind))) for kind in KINDS]).crawl()


def _fits(value: Any, kind: Kind) -> bool:
    """Whether a document surely fits its schema."""
    return admits(value, lambda: _quick(kind))


@lru_cache
def _quick(kind: Kind) -> Any:
    return quick(schema_of(kind), [schema_of("skill")])  # the one that others refer to


def _problems(value: Any, schema: Mapping[str, Any], document: Document | None) -> Iterator[tuple[str, Problem]]:
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(schema, registry=_published())
    seen = set()
    for error in validator.iter_errors(value):
        for leaf in _leaves(error):
            for problem in _explain(leaf, document):
                if problem not in seen:
                    seen.add(problem)
                    yield str(leaf.validator), problem


def _leaves(error: Any) -> Iterator[Any]:
    """Of alternatives the errors of the one that was most likely meant; else the error itself."""
    if error.validator not in ("anyOf", "oneOf") or not error.context:
        yield error
        return
    branches: dict[int, list[Any]] = {}
    for inner in error.context:
        branches.setdefault(inner.relative_schema_path[0], []).append(inner)
    # An alternative of another type was not meant; of the others the one with the errors deepest inside.
    fitting = [inner for inner in branches.values() if not any(one.validator == "type" and not one.relative_path for one in inner)]
    if len(fitting) == 1:
        for one in fitting[0]:
            yield from _leaves(one)
    else:
        yield error


def _explain(error: Any, document: Document | None) -> Iterator[Problem]:
    pointer = join("", *error.absolute_path)
    name = _name(error)
    if _is_key(error):
        yield Problem(
            join(pointer, str(error.instance)), f"the key '{error.instance}' is not allowed", error.schema.get("description"), on_key=True
        )
        return
    match error.validator:
        case "type":
            yield Problem(
                pointer,
                f"{name} must be {_types(error.validator_value)}, not {_shown(error.instance)}",
                _type_hint(error, document, pointer),
            )
        case "required":
            # jsonschema gives one error a missing key; all are in `validator_value`.
            missing = [key for key in error.validator_value if f"'{key}' is a required" in error.message or repr(key) in error.message]
            for key in missing[:1]:
                close = nearest(key, [one for one in error.instance if one not in error.schema.get("properties", {})])
                yield Problem(
                    join(pointer, key), f"'{key}' is missing{_inside(error)}", f"did you mean it by '{close}'?" if close else None
                )
        case "additionalProperties" if error.validator_value is False:
            known = list(error.schema.get("properties", {}))
            for key in error.instance:
                if key not in known:
                    close = nearest(key, known)
                    hint = f"did you mean '{close}'?" if close else f"there are: {', '.join(sorted(known)) or 'none'}"
                    yield Problem(join(pointer, key), f"unknown key '{key}'{_inside(error)}", hint, on_key=True)
        case "enum":
            choices = [_shown(choice) for choice in error.validator_value]
            close = (
                nearest(str(error.instance), [str(choice) for choice in error.validator_value]) if isinstance(error.instance, str) else None
            )
            advice = f"did you mean '{close}'?" if close else _type_hint(error, document, pointer)
            yield Problem(pointer, f"{name} must be one of {', '.join(choices)}, not {_shown(error.instance)}", advice)
        case "const":
            yield Problem(pointer, f"{name} must be {_shown(error.validator_value)}, not {_shown(error.instance)}", _newer_hint(error))
        case "pattern":
            hint = error.schema.get("description") or f"it must match {error.validator_value}"
            yield Problem(pointer, f"{name} is {_shown(error.instance)}, which is not allowed", hint)
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum":
            words = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "more than", "exclusiveMaximum": "less than"}
            unit = f" {error.schema['x-unit']}" if error.schema.get("x-unit") else ""
            yield Problem(pointer, f"{name} must be {words[error.validator]} {error.validator_value}{unit}, not {_shown(error.instance)}")
        case "minLength" | "minItems" | "minProperties" if error.validator_value == 1:
            yield Problem(pointer, f"{name} must not be empty")
        case "minLength" | "minItems" | "minProperties" | "maxLength" | "maxItems" | "maxProperties":
            word = "at least" if error.validator.startswith("min") else "at most"
            of = {"Length": "characters", "Items": "entries", "Properties": "keys"}[error.validator[3:]]
            yield Problem(pointer, f"{name} must have {word} {error.validator_value} {of}, not {len(error.instance)}")
        case "uniqueItems":
            repeated = next((item for index, item in enumerate(error.instance) if item in error.instance[:index]), None)
            yield Problem(pointer, f"{name} must not hold {_shown(repeated)} twice")
        case "anyOf" | "oneOf":
            yield Problem(pointer, f"{name} fits none of the allowed forms: {_shown(error.instance)}", error.schema.get("description"))
        case _:
            yield Problem(pointer, f"{name}: {error.message}", error.schema.get("description") if isinstance(error.schema, dict) else None)


def _name(error: Any) -> str:
    path = list(error.absolute_path)
    if not path:
        return "the document" if isinstance(error.instance, dict) or error.validator == "type" else "the value"
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return f"'{text}'"


def _inside(error: Any) -> str:
    return f" in {_name(error)}" if error.absolute_path else ""


def _is_key(error: Any) -> bool:
    return "propertyNames" in error.absolute_schema_path


def _types(types: str | list[str]) -> str:
    return " or ".join(_NAMES.get(one, one) for one in ([types] if isinstance(types, str) else types))


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value, ensure_ascii=False)
    text = text if len(text) <= 60 else text[:57] + "..."
    return f"'{text[1:-1]}'" if isinstance(value, str) else {"null": "empty"}.get(text, text)


def _newer_hint(error: Any) -> str | None:
    newer = list(error.absolute_path) == ["schema"] and isinstance(error.instance, int) and error.instance > error.validator_value
    return "a newer realitygap reads it: pip install -U realitygap" if newer else None


def _type_hint(error: Any, document: Document | None, pointer: str) -> str | None:
    """What YAML made of a plain word, where that is the trouble."""
    wanted = error.validator_value if error.validator == "type" else None
    wanted = [wanted] if isinstance(wanted, str) else wanted or []
    written = document.source(pointer) if document else None
    if error.instance is not None and not isinstance(error.instance, str | dict | list) and "string" in wanted:
        return f'write it in quotes: "{written if written is not None else json.dumps(error.instance)}"'
    if isinstance(error.instance, str) and "boolean" in wanted and error.instance.lower() in ("yes", "no", "on", "off", "y", "n"):
        return f"write {'true' if error.instance.lower() in ('yes', 'on', 'y') else 'false'}"
    if isinstance(error.instance, str) and {"integer", "number"} & set(wanted):
        try:
            float(error.instance)
        except ValueError:
            # 20 ms, 30 deg: a number with the name of a unit.
            named = re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?\s*[^\s\d].*", error.instance)
            unit, about = error.schema.get("x-unit"), error.schema.get("description")
            return (
                f"write the number alone, in {unit}" if named and unit else f"write the number alone: {about}" if named and about else None
            )
        return "write it without quotes"
    return None
