"""`skills check`: what is wrong with manifests, guides, pipelines, plugins and documents, found without importing what is checked.

`rules.yaml` says what each code means: RG0xx reading, RG1xx the schema, RG2xx names and links, RG3xx SKILL.md, RG4xx pipelines, RG5xx
plugins. Other codes come from plugins, by the hook `realitygap_register_checks`.
"""

from __future__ import annotations

import gc
import inspect
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from realitygap import plugin_check, skill_check
from realitygap.discovery import WORKSPACE, Registry
from realitygap.document import Document, LocatedError, load, shown_path
from realitygap.errors import InputError
from realitygap.findings import Finding, count, ordered
from realitygap.guide_files import GUIDES, Spellings, reading_once, walk
from realitygap.guides import check_guide
from realitygap.neighbours import neighbours
from realitygap.plugin_record import PluginRecord, read_manifest
from realitygap.schema import KINDS, Kind, validate
from realitygap.skill import Skill

if TYPE_CHECKING:
    from realitygap.hookspecs import CheckFunction


@dataclass
class Report:
    """What was checked and found."""

    findings: list[Finding] = field(default_factory=list)
    skills: int = 0
    plugins: int = 0
    documents: int = 0
    files: dict[str, None] = field(default_factory=dict)
    """What was read, as findings name it, in order."""

    def read(self, *files: Path) -> None:
        """Notes that files were read."""
        self.files |= dict.fromkeys(map(shown_path, files))

    @property
    def summary(self) -> dict[str, int]:
        return count(self.findings, skills=self.skills, plugins=self.plugins, documents=self.documents)

    @property
    def failed(self) -> bool:
        return any(one.severity == "error" for one in self.findings)


def check_registry(registry: Registry) -> Report:
    """Checks everything installed."""
    report = Report()
    for skill in registry.every_skill:
        _skill(skill, registry, report, installed=True)
    for record in registry.active_plugins:
        if record.manifest and record.manifest.is_file():
            _plugin(record, record.manifest, report)
    report.findings += [_finding(one.error, one.path) for one in registry.broken]
    report.findings += plugin_check.name_findings(registry)
    _rules_of_plugins(registry, registry.every_skill, report)
    report.findings += plugin_check.state_findings(registry, as_warning=False)
    for directory in {one.directory.parent for one in registry.every_skill}:
        report.findings += _wrong_suffixes(directory)
    report.findings = ordered(report.findings)
    return report


@contextmanager
def _without_collector() -> Iterator[None]:
    """All that is read lives until the report is written; looking for garbage among it takes a tenth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_without_collector()
@reading_once()
def check_paths(paths: Sequence[Path], registry: Registry, kind: Kind | None = None) -> Report:
    """Checks folders and files, with the registry as their surroundings.

    Raises:
        InputError: a path is neither a file nor a folder, or a folder holds nothing to check.
    """
    report = Report()
    files = files_of(paths)
    skills: list[tuple[Skill, Document]] = []
    for file in files:
        _file(file, registry, report, skills, files, kind)
    checked = [skill for skill, _ in skills]
    view = registry.with_skills([*checked, *neighbours(checked, registry)])
    for skill, document in skills:
        installed = skill.directory.resolve() in registry.places
        report.skills += 1
        report.findings += skill_check.check_skill(skill, document, view)
        report.findings += skill_check.name_findings(skill, document, registry, installed=installed)
    _rules_of_plugins(view, checked, report, paths)
    report.findings += plugin_check.state_findings(registry, as_warning=True)
    report.findings = ordered(report.findings)
    return report


def _file(
    file: Path, registry: Registry, report: Report, skills: list[tuple[Skill, Document]], files: dict[Path, bool], kind: Kind | None
) -> None:
    """Checks one file, or puts its skill on the list, which is checked when all are known."""
    report.read(file)
    if file.name in ("skill.yml", "plugin.yml"):
        report.findings.append(_wrong_suffix(file))
        return
    if file.name in GUIDES:
        if not files[file]:
            report.documents += 1
            report.findings += check_guide(file, None)
        elif (manifest := file.with_name("skill.yaml")) not in files:
            _file(manifest, registry, report, skills, files, kind)
        return
    try:
        document = load(file)
    except InputError as error:
        report.documents += 1
        report.findings.append(_finding(error, file))
        return
    kind = kind or kind_of(document)
    if kind is None:
        hint = f"name it after its kind, such as {file.stem}.task.yaml, or say --kind; kinds: {', '.join(KINDS)}"
        report.findings.append(Finding.at(document, "", "RG008", "nothing tells what kind of document this is", hint=hint))
    elif kind in ("skill", "pipeline"):
        report.read(file.with_name("SKILL.md"))
        skill = _skill_of(document, file, registry)
        if isinstance(skill, Skill):
            skills.append((skill, document))
        else:
            report.skills += 1
            report.findings += skill
    elif kind == "plugin":
        _plugin(_record_of(file, registry, document), file, report)
    else:
        report.documents += 1
        report.findings += validate(document, kind)


def kind_of(document: Document) -> Kind | None:
    """The kind of a document, by its file's name, that of its folder, or its keys."""
    path, data = document.path, document.data
    keys = set(data) if isinstance(data, dict) else set()
    if path is not None:
        if path.name == "skill.yaml":
            return "pipeline" if "steps" in keys else "skill"
        if path.name == "rules.yaml":
            return "rules"
        for kind in KINDS:
            if kind in path.stem.split(".") or path.parent.name == f"{kind}s":
                return kind
    by_keys: list[tuple[Kind, set[str]]] = [
        ("pipeline", {"steps"}),
        ("skill", {"entry"}),
        ("plugin", {"api"}),
        ("task", {"observations", "rewards"}),
        ("mapping", {"streams", "channels", "columns"}),
        ("domain", {"parameters"}),
    ]
    return next((kind for kind, some in by_keys if keys & some), None)


def _skill(skill: Skill, registry: Registry, report: Report, *, installed: bool) -> None:
    report.skills += 1
    report.read(skill.manifest, skill.guide)
    try:
        document = skill.document()
    except InputError as error:
        report.findings.append(_finding(error, skill.manifest))
        return
    report.findings += skill_check.check_skill(skill, document, registry)
    report.findings += skill_check.name_findings(skill, document, registry, installed=installed)


def _skill_of(document: Document, file: Path, registry: Registry) -> Skill | list[Finding]:
    """The registered skill of a manifest, or a new one of the workspace; findings where it gives none."""
    directory = file.parent
    known = registry.places.get(directory.resolve())
    try:
        return Skill.from_manifest(
            document.data,
            directory=directory,
            plugin=known.plugin if known else WORKSPACE,
            distribution=known.distribution if known else WORKSPACE,
            distribution_version=known.distribution_version if known else "",
            builtin=known.builtin if known else False,
        )
    except InputError as error:
        kind: Kind = "pipeline" if isinstance(document.data, dict) and "steps" in document.data else "skill"
        findings = validate(document, kind)
        findings = findings or [Finding.at(document, getattr(error, "pointer", ""), "RG101", error.message, hint=error.hint)]
        return [*findings, *check_guide(directory / GUIDES[0], None)]


def _plugin(record: PluginRecord, file: Path, report: Report) -> None:
    report.plugins += 1
    report.read(file)
    try:
        report.findings += plugin_check.check_plugin(record, load(file))
    except InputError as error:
        report.findings.append(_finding(error, file))


def _record_of(file: Path, registry: Registry, document: Document) -> PluginRecord:
    for record in registry.plugins.values():
        if record.directory is not None and record.directory.resolve() == file.parent.resolve():
            return record
    name = document.data.get("name") if isinstance(document.data, dict) else None
    package = _package_of(file.parent.resolve())
    record = PluginRecord(
        name=str(name),
        package=package,
        distribution=WORKSPACE,
        version="",
        builtin=False,
        directory=file.parent,
        module=f"{package}.plugin",
    )
    try:
        read_manifest(record, document.data)
    except InputError as error:
        # The schema has a finding for it.
        record.fail(error.message)
    return record


def _package_of(directory: Path) -> str:
    parts = [directory.name]
    while (directory.parent / "__init__.py").is_file():
        directory = directory.parent
        parts.insert(0, directory.name)
    return ".".join(parts)


def _rules_of_plugins(registry: Registry, skills: Sequence[Skill], report: Report, paths: Sequence[Path] = ()) -> None:
    """Runs the checks that plugins register; one that fails stops no other."""
    for record, (prefix, function) in registry.host.collect("realitygap_register_checks"):
        try:
            for finding in _called(function, registry, skills, paths):
                if not isinstance(finding, Finding) or not finding.rule.startswith(prefix):
                    code = getattr(finding, "rule", type(finding).__name__)
                    report.findings.append(_fault(record, f"a check for '{prefix}' gave '{code}'"))
                    continue
                report.findings.append(finding)
        except InputError as error:
            report.findings.append(
                Finding(rule="RG508", message=f"{record.label}: {error.message}", path=error.where or "", hint=error.hint)
            )
        except Exception as error:
            report.findings.append(_fault(record, f"its check for '{prefix}' raised {type(error).__name__}: {error}"))


def _called(function: CheckFunction, registry: Registry, skills: Sequence[Skill], paths: Sequence[Path]) -> Iterable[Finding]:
    """Calls a check with `paths` too, where it takes them."""
    takes_paths = "paths" in inspect.signature(function).parameters
    return function(registry, skills, paths=paths) if takes_paths else function(registry, skills)


def _fault(record: PluginRecord, message: str) -> Finding:
    return Finding(rule="RG508", message=f"{record.label}: {message}", hint=record.remedy)


def _finding(error: InputError, path: Path) -> Finding:
    if isinstance(error, LocatedError):
        rule = error.rule or "RG101"
        shown = shown_path(error.path or path)
        return Finding(
            rule=rule, message=error.message, path=shown, line=error.line, column=error.column, hint=error.hint, width=error.width
        )
    return Finding(rule="RG009", message=error.message, path=shown_path(path), hint=error.hint)


def files_of(paths: Sequence[Path]) -> dict[Path, bool]:
    """What there is to check in folders and files, and whether a skill.yaml lies beside it.

    Raises:
        InputError: a path is neither a file nor a folder, or a folder holds nothing to check.
    """
    files: dict[Path, bool] = {}
    for path in paths:
        # `Path.is_dir` raises for a name that is too long.
        if os.path.isdir(path):
            found = dict(_files(path))
            if not found:
                raise InputError("nothing to check: no skill.yaml, SKILL.md or plugin.yaml in it", where=shown_path(path))
            files |= found
            continue
        if not os.path.isfile(path):
            load(path)
        files[path] = path.with_name("skill.yaml").exists()
    if len(paths) == 1:
        return files
    folders = Spellings()
    return {folders.first(file.parent) / file.name: beside for file, beside in files.items()}


def _files(folder: Path) -> Iterator[tuple[Path, bool]]:
    """What there is to check in a folder, sorted, and whether a skill.yaml lies beside it."""
    for parent, names in walk(folder):
        for name in ("skill.yaml", *GUIDES, "plugin.yaml", "skill.yml", "plugin.yml"):
            if name in names and not (name == GUIDES[1] and GUIDES[0] in names):
                yield Path(parent, name), "skill.yaml" in names


def _wrong_suffixes(directory: Path) -> Iterator[Finding]:
    for file in sorted(directory.glob("*/skill.yml")):
        yield _wrong_suffix(file)


def _wrong_suffix(file: Path) -> Finding:
    right = file.with_suffix(".yaml").name
    return Finding(rule="RG007", message=f"'{file.name}' is not read", path=shown_path(file), hint=f"rename it to '{right}'")
