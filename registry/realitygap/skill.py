"""A skill as its manifest declares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from realitygap.errors import InputError

if TYPE_CHECKING:
    from realitygap.document import Document

JsonSchema = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Skill:
    """A manifest. Built from plain data, so that the index can give it without reading YAML."""

    name: str
    version: str
    trit: int
    """-1 validates, 0 coordinates, +1 generates."""
    summary: str
    """One line."""
    entry: str | None = None
    """`module:function`; None for a pipeline."""
    steps: tuple[Mapping[str, Any], ...] = ()
    """Steps of a pipeline as written: `id`, `uses`, `with`, `needs`, `foreach`, `max_parallel`."""
    inputs: Mapping[str, JsonSchema]
    """Name to the JSON Schema of its value."""
    outputs: Mapping[str, Any]
    """Name to the JSON Schema of its value; in a pipeline to a reference."""
    triads: tuple[tuple[str, ...], ...] = ()
    """Groups of skills that this one claims to balance in."""
    color: str | None = None
    depends_on: tuple[str, ...] = ()
    enables: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    """Extras of the distribution that the code needs."""
    runtime: Literal["quick", "long"] = "quick"
    effects: Literal["none", "run", "workspace"] = "run"
    cache: bool = True
    """False where the result depends on more than the inputs."""
    examples: tuple[Mapping[str, Any], ...] = ()
    references: tuple[str, ...] = ()

    directory: Path
    """The folder that holds `skill.yaml` and `SKILL.md`."""
    plugin: str
    """Name of the plugin that it belongs to."""
    distribution: str
    """Name of the installed distribution, or `workspace` for a folder of `--skills-dir`."""
    distribution_version: str = ""
    builtin: bool = False
    """Whether it comes with this distribution."""

    @property
    def is_pipeline(self) -> bool:
        return self.entry is None

    @property
    def manifest(self) -> Path:
        return self.directory / "skill.yaml"

    @property
    def guide(self) -> Path:
        return self.directory / "SKILL.md"

    @property
    def qualified_name(self) -> str:
        """`distribution/name`, which is reachable also where the bare name is not."""
        return f"{self.distribution}/{self.name}"

    @property
    def uri(self) -> str:
        return f"skill://{self.name}{self.color or ''}"

    @property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of all inputs as one object."""
        return object_schema(self.inputs)

    @property
    def output_schema(self) -> dict[str, Any]:
        """JSON Schema of all outputs as one object.

        For a pipeline every output is allowed any value here; what the references refer to says more (`pipeline`).
        """
        if not self.is_pipeline:
            return object_schema(self.outputs)
        return object_schema({name: {"x-optional": True} for name in self.outputs})

    def document(self) -> Document:
        """The manifest with its positions. Raises `InputError`."""
        from realitygap.document import load

        return load(self.manifest)

    @classmethod
    def from_manifest(
        cls,
        data: Any,
        *,
        directory: Path,
        plugin: str,
        distribution: str,
        distribution_version: str = "",
        builtin: bool = False,
    ) -> Skill:
        """The skill of a manifest's plain data. Checks as much as the fields need; `schema.validate` checks all.

        Raises:
            ManifestError: a field is missing or of the wrong type.
        """
        fields = _Fields(data)
        is_pipeline = "steps" in fields.data
        return cls(
            name=fields.text("name"),
            version=fields.text("version"),
            trit=fields.trit(),
            summary=fields.text("summary"),
            entry=None if is_pipeline else fields.text("entry"),
            steps=tuple(fields.list_of("steps", Mapping)),
            inputs=fields.mapping("inputs", of_mappings=True),
            outputs=fields.mapping("outputs", of_mappings=not is_pipeline),
            triads=tuple(tuple(str(name) for name in triad) for triad in fields.list_of("triads", list)),
            color=fields.text("color") if "color" in fields.data else None,
            depends_on=tuple(fields.list_of("depends_on", str)),
            enables=tuple(fields.list_of("enables", str)),
            extras=tuple(fields.list_of("extras", str)),
            runtime=fields.choice("runtime", ("quick", "long")),
            effects=fields.choice("effects", ("run", "none", "workspace")),
            cache=fields.data.get("cache", True) is not False,
            examples=tuple(fields.list_of("examples", Mapping)),
            references=tuple(fields.list_of("references", str)),
            directory=directory,
            plugin=plugin,
            distribution=distribution,
            distribution_version=distribution_version,
            builtin=builtin,
        )


class ManifestError(InputError):
    """A manifest that gives no skill or no plugin; `pointer` says where."""

    def __init__(self, message: str, *, pointer: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.pointer = pointer


def object_schema(ports: Mapping[str, JsonSchema]) -> dict[str, Any]:
    """The schema of an object with these properties; one without `default` is required unless it says `x-optional`."""
    return {
        "type": "object",
        "properties": {name: dict(schema) for name, schema in ports.items()},
        "required": [name for name, schema in ports.items() if "default" not in schema and not schema.get("x-optional")],
        "additionalProperties": False,
    }


class _Fields:
    """Typed access to a manifest's data."""

    def __init__(self, data: Any) -> None:
        if not isinstance(data, Mapping):
            raise ManifestError("a manifest is a mapping of keys to values")
        self.data: Mapping[str, Any] = data

    def text(self, key: str) -> str:
        value = self.data.get(key)
        if not isinstance(value, str) or not value:
            problem = f"'{key}' must be a text" if key in self.data else f"'{key}' is missing"
            raise ManifestError(problem, pointer=f"/{key}")
        return value

    def trit(self) -> int:
        value = self.data.get("trit")
        if value not in (-1, 0, 1) or isinstance(value, bool):
            raise ManifestError("'trit' must be -1, 0 or 1", pointer="/trit")
        return int(value)

    def choice(self, key: str, choices: tuple[str, ...]) -> Any:
        value = self.data.get(key, choices[0])
        if value not in choices:
            raise ManifestError(f"'{key}' must be one of {', '.join(choices)}", pointer=f"/{key}")
        return value

    def list_of(self, key: str, kind: Any) -> list[Any]:
        value = self.data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
            raise ManifestError(
                f"'{key}' must be a list of {'texts' if kind is str else 'lists' if kind is list else 'mappings'}", pointer=f"/{key}"
            )
        return value

    def mapping(self, key: str, *, of_mappings: bool) -> Mapping[str, Any]:
        value = self.data.get(key, {})
        if not isinstance(value, Mapping):
            raise ManifestError(f"'{key}' must map names to schemas", pointer=f"/{key}")
        for name, item in value.items():
            if of_mappings and not isinstance(item, Mapping):
                raise ManifestError(f"'{key}.{name}' must be a JSON Schema", pointer=f"/{key}/{name}")
        return value
