"""The inputs of a skill: parsed from the command line or a file, completed with defaults, resolved, validated.

A value given as text is read by its schema. With `{"seeds": {"type": "array", "items": {"type": "integer"}}}`

    -i seeds=[1,2]              -> [1, 2]
    -i seeds=1 -i seeds=2       -> [1, 2]
    -i seeds=1                  -> [1]
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realitygap.errors import InputError, nearest, unknown
from realitygap.json_reader import read_json
from realitygap.nodes import MAX_BYTES, Malformed
from realitygap.validator import fits, validator

if TYPE_CHECKING:
    from realitygap.skill import Skill

Schema = Mapping[str, Any]
Assets = Mapping[str, Mapping[str, str]]
"""Format (`model`, `recording`, ...) to name to absolute path."""

PATH_FORMATS = ("path", "model", "recording", "mapping", "task", "domain", "collection", "policy", "report")
"""Values of `format` that make a string a path. With `x-new: true` the path need not exist yet."""

_JSON_TYPES = ("null", "boolean", "integer", "number", "array", "object")


def parse_assignments(assignments: Sequence[str], skill: Skill) -> dict[str, Any]:
    """Reads `key=value` texts by the input schemas of the skill.

    Raises InputError for a text without `=`, an unknown input, a value that cannot be read as what the schema says, or a repeated key of an
    input that is not a list.
    """
    properties = properties_of(skill.input_schema)
    texts: dict[str, list[str]] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise InputError(f"'{assignment}' is not key=value", where="-i", hint=f"for example -i {next(iter(properties), 'name')}=VALUE")
        name = name.strip()
        if name not in properties:
            raise unknown(f"input of {skill.name}", name, properties, where="-i")
        texts.setdefault(name, []).append(text)
    return {name: parse_texts(name, values, properties[name]) for name, values in texts.items()}


def parse_texts(name: str, texts: Sequence[str], schema: Schema) -> Any:
    """The value of one input from its texts, in the order given. Raises InputError."""
    if "array" in types_of(schema):
        if len(texts) == 1 and texts[0].lstrip().startswith("["):
            return _json(name, texts[0], "a list as JSON", list)
        if len(texts) > 1 or types_of(schema) == ("array",):
            items = schema.get("items", {})
            return [parse_text(name, text, items if isinstance(items, Mapping) else {}) for text in texts]
    if len(texts) > 1:
        raise InputError(f"input '{name}' was given {len(texts)} times and is not a list", where=f"-i {name}=")
    return parse_text(name, texts[0], schema)


def parse_text(name: str, text: str, schema: Schema) -> Any:
    """One value from its text: the first type of the schema that the text can be read as, strings last. Raises InputError."""
    for choice in _choices(schema):
        if not isinstance(choice, str) and json.dumps(choice) == text.strip():
            return choice
        if choice == text:
            return text
    types = types_of(schema)
    if not types:
        try:
            return _loads(text)
        except ValueError:
            return text
    for kind in _JSON_TYPES:
        if kind not in types:
            continue
        try:
            return _read(text.strip(), kind)
        except ValueError as error:
            if types == (kind,) or set(types) == {kind, "null"}:
                raise InputError(
                    f"input '{name}' should be {_article(kind)}, not {text!r}", where=f"-i {name}=", hint=_hint(kind, error)
                ) from None
    if "string" in types:
        return text
    raise InputError(f"input '{name}' should be {' or '.join(_article(kind) for kind in types)}, not {text!r}", where=f"-i {name}=")


def read_inputs(source: str) -> dict[str, Any]:
    """The inputs in a YAML or JSON file, or on stdin for `-`. Raises InputError."""
    from realitygap.document import load, parse

    if not source:
        raise InputError("the name of the file is empty", where="--inputs")
    if source == "-":
        try:
            with open(0, "rb", closefd=False) as stream:
                values = parse(stream.read(MAX_BYTES + 1), "<stdin>").data
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", where="<stdin>") from None
    else:
        values = load(source).data
    if values is None:
        return {}
    if not isinstance(values, dict):
        where = "<stdin>" if source == "-" else source
        raise InputError(f"the inputs should be a mapping of names to values, not {_article(_json_type(values))}", where=where)
    return values


def check_names(given: Mapping[str, Any], skill: Skill, where: str | None = None) -> None:
    """Raises InputError for the first name that is not an input of the skill, with the nearest that is."""
    properties = properties_of(skill.input_schema)
    for name in given:
        if name not in properties:
            raise unknown(f"input of {skill.name}", name, properties, where=where)


def prepare(skill: Skill, given: Mapping[str, Any], assets: Assets, base: Path | None = None) -> dict[str, Any]:
    """What a skill function gets: names checked, defaults filled in, formats resolved to absolute paths, all validated.

    Relative paths are relative to `base`, the current folder by default. Raises InputError that says which input, what was expected and
    what was given.
    """
    check_names(given, skill)
    inputs = with_defaults(whole_numbers(given, skill.input_schema), skill.input_schema)
    missing = [name for name in skill.input_schema.get("required", ()) if name not in inputs]
    if missing:
        schema = properties_of(skill.input_schema)[missing[0]]
        raise InputError(
            f"{skill.name} needs the input '{missing[0]}'" + (f": {schema['description']}" if "description" in schema else ""),
            hint=f"give it with -i {missing[0]}=VALUE",
        )
    validate(inputs, skill.input_schema, "input")
    return resolve(inputs, skill.input_schema, assets, base)


def whole_numbers(value: Any, schema: Schema) -> Any:
    """The value with `3.0` as 3 where the schema says integer: to JSON Schema both are one."""
    if isinstance(value, float):
        kinds = {kind for part in _variants(schema) for kind in types_of(part)}
        return int(value) if value.is_integer() and "integer" in kinds and "number" not in kinds else value
    if isinstance(value, list):
        items: Schema = next((part["items"] for part in _variants(schema) if isinstance(part.get("items"), Mapping)), {})
        return [whole_numbers(item, items) for item in value] if items else value
    if isinstance(value, Mapping):
        return {key: whole_numbers(item, _schema_of(key, schema)) for key, item in value.items()}
    return value


def with_defaults(given: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """The inputs in the order of the schema, with the defaults of those that were not given."""
    inputs: dict[str, Any] = {}
    for name, part in properties_of(schema).items():
        if name in given:
            inputs[name] = given[name]
        elif "default" in part and not (part["default"] is None and "null" not in types_of(part)):
            inputs[name] = part["default"]
    return inputs


def resolve(inputs: Mapping[str, Any], schema: Schema, assets: Assets, base: Path | None = None) -> dict[str, Any]:
    """The inputs with every string of a path format replaced by an absolute path, names of assets included. Raises InputError."""
    base = base or Path.cwd()

    def absolute(name: str, text: str, part: Schema) -> str:
        return resolve_path(name, text, part, assets, base)

    properties = properties_of(schema)
    return {name: _map_paths(name, value, properties.get(name, {}), absolute) for name, value in inputs.items()}


def resolve_path(name: str, text: str, schema: Schema, assets: Assets, base: Path) -> str:
    """One path, or the asset of that name. A path that exists goes before an asset only when it is written with a separator."""
    kind = str(schema.get("format"))
    named = assets.get(kind, {})
    if text in named:
        return named[text]
    if not text:
        raise InputError(f"input '{name}' is empty; {_expected_path(kind)} was expected")
    try:
        path = Path(text).expanduser()
        path = path if path.is_absolute() else base / path
        if schema.get("x-new") or path.is_file() or path.is_dir():
            return str(path.resolve())
        exists = path.exists()
    except (OSError, ValueError) as error:
        raise InputError(f"input '{name}' cannot be a path: {getattr(error, 'strerror', None) or error}") from None
    if exists:
        # A pipe or a device would keep the run waiting for ever.
        raise InputError(f"input '{name}' is neither a plain file nor a folder: {text}")
    looks_like_a_path = "/" in text or Path(text).suffix
    close = None if looks_like_a_path and path.parent != base else nearest(text, [*named, *_neighbours(path)])
    if close is None and path.parent.is_dir():
        close = nearest(path.name, _neighbours(path))
    hint = f"did you mean '{close}'?" if close else (f"names that come with the plugins: {', '.join(sorted(named))}" if named else None)
    problem = f"no such file or folder: {text}" if looks_like_a_path else f"no file, folder or {kind} named '{text}'"
    raise InputError(f"input '{name}': {problem}", hint=hint)


def validate(values: Mapping[str, Any], schema: Schema, kind: str) -> None:
    """Raises InputError for the first value that breaks its schema; `kind` is `input` or `output`."""
    if fits(values, schema):
        return
    from jsonschema.exceptions import best_match

    error = best_match(validator(schema).iter_errors(values))
    if error is None:
        return
    path = list(error.absolute_path)
    if not path:
        raise InputError(f"{kind}s: {error.message}")
    name = str(path[0]) + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path[1:])
    hint = None
    if error.validator == "enum":
        choices = [str(choice) for choice in error.validator_value]
        close = nearest(str(error.instance), choices)
        problem, hint = (
            f"should be one of {', '.join(choices)}, not {_shown(error.instance)}",
            f"did you mean '{close}'?" if close else None,
        )
    elif error.validator == "type":
        wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        problem = f"should be {' or '.join(_article(kind) for kind in wanted)}, not {_shown(error.instance)}"
    else:
        problem = error.message if len(error.message) < 240 else error.message[:237] + "..."
    part = properties_of(schema).get(str(path[0]), {})
    raise InputError(
        f"{kind} '{name}' {problem}" if problem.startswith("should") else f"{kind} '{name}': {problem}", hint=hint or _unit_hint(part)
    )


def map_paths(values: Mapping[str, Any], schema: Schema, change: Callable[[str, str, Schema], str]) -> dict[str, Any]:
    """The values with `change(name, text, schema)` applied to every string whose schema has a path format."""
    properties = properties_of(schema)
    return {
        name: _map_paths(name, value, schema, change) if _names_paths(schema) else value
        for name, value, schema in ((name, value, properties.get(name, {})) for name, value in values.items())
    }


def _names_paths(schema: Any) -> bool:
    """Whether a path format stands anywhere in a schema."""
    if isinstance(schema, Mapping):
        return schema.get("format") in PATH_FORMATS or any(_names_paths(part) for part in schema.values())
    return isinstance(schema, (list, tuple)) and any(_names_paths(part) for part in schema)


def properties_of(schema: Schema) -> Mapping[str, Schema]:
    properties = schema.get("properties", {})
    return properties if isinstance(properties, Mapping) else {}


def types_of(schema: Schema) -> tuple[str, ...]:
    """The JSON types that a schema admits, as far as it says; empty when it does not."""
    kinds = schema.get("type")
    if isinstance(kinds, str):
        return (kinds,)
    if isinstance(kinds, (list, tuple)):
        return tuple(str(kind) for kind in kinds)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            found = [types_of(part) for part in schema[word] if isinstance(part, Mapping)]
            return tuple(dict.fromkeys(kind for kinds in found for kind in kinds)) if all(found) else ()
    if "enum" in schema or "const" in schema:
        return tuple(dict.fromkeys(_json_type(choice) for choice in _choices(schema)))
    return ()


def _map_paths(name: str, value: Any, schema: Schema, change: Callable[[str, str, Schema], str]) -> Any:
    if isinstance(value, str):
        if any(value in _choices(part) for part in _variants(schema)):
            return value  # a word that the schema itself names, such as `auto` beside a path
        part = next((part for part in _variants(schema) if part.get("format") in PATH_FORMATS), None)
        return value if part is None else change(name, value, part)
    if isinstance(value, list):
        items: Schema = next((part["items"] for part in _variants(schema) if isinstance(part.get("items"), Mapping)), {})
        return [_map_paths(f"{name}[{index}]", item, items, change) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: _map_paths(f"{name}.{key}", item, _schema_of(key, schema), change) for key, item in value.items()}
    return value


def _schema_of(key: str, schema: Schema) -> Schema:
    """The schema of one value of a mapping; empty where there is none."""
    parts = list(_variants(schema))
    below = next((properties_of(part)[key] for part in parts if key in properties_of(part)), None)
    if below is not None:
        return below
    return next((extra for part in parts if isinstance(extra := part.get("additionalProperties"), Mapping)), {})


def _variants(schema: Schema) -> Iterator[Schema]:
    yield schema
    for word in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(word, ()):
            if isinstance(part, Mapping):
                yield from _variants(part)


def _choices(schema: Schema) -> Sequence[Any]:
    return schema["enum"] if "enum" in schema else [schema["const"]] if "const" in schema else []


def _read(text: str, kind: str) -> Any:
    if kind == "integer":
        number = float(text) if any(letter in text for letter in ".eE") else int(text)
        if number != int(number):
            raise ValueError("it has a fraction")
        return int(number)
    if kind == "number":
        number = float(text)
        if not math.isfinite(number):
            raise ValueError("it is not finite")
        return int(text) if text.lstrip("+-").isdecimal() else number
    if kind == "boolean":
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise ValueError("write true or false")
    value = _loads(text)
    if _json_type(value) != kind:
        raise ValueError(f"it is {_article(_json_type(value))}")
    return value


def _json(name: str, text: str, expected: str, kind: type) -> Any:
    try:
        value = _loads(text)
    except ValueError as error:
        raise InputError(f"input '{name}' should be {expected}: {error}", where=f"-i {name}=") from None
    if not isinstance(value, kind):
        raise InputError(f"input '{name}' should be {expected}, not {text!r}", where=f"-i {name}=")
    return value


def _loads(text: str) -> Any:
    try:
        return read_json(text).data()
    except Malformed as error:
        raise ValueError(error.message.removeprefix("not JSON: ")) from None


def _neighbours(path: Path) -> list[str]:
    try:
        return [entry.name for entry in path.parent.iterdir()][:500]
    except OSError:
        return []


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    for kind, name in ((int, "integer"), (float, "number"), (str, "string"), (list, "array")):
        if isinstance(value, kind):
            return name
    return "object"


def _article(kind: str) -> str:
    names = {
        "integer": "an integer",
        "object": "an object",
        "array": "a list",
        "boolean": "true or false",
        "null": "null",
        "string": "text",
    }
    return names.get(kind, f"a {kind}")


def _expected_path(kind: str) -> str:
    return "a file or folder" if kind == "path" else f"a {kind}"


def _hint(kind: str, error: ValueError) -> str | None:
    if kind in ("array", "object"):
        return f"write it as JSON: {error}"
    return str(error) if kind == "boolean" or str(error).startswith("it ") else None


def _unit_hint(schema: Schema) -> str | None:
    return f"its unit is {schema['x-unit']}" if "x-unit" in schema else None


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) < 80 else text[:77] + "..."
