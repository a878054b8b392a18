"""What `skills check` does around the check itself: configuration, inline ignores, selection of rules, baseline, advice.

options = CheckOptions.of(config, select=("TRI",))
outcome = lint(paths, registry, options)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from realitygap import baseline
from realitygap.check import Report, check_paths, check_registry
from realitygap.check_config import CheckConfig
from realitygap.discovery import Registry
from realitygap.findings import Finding, count, ordered
from realitygap.formats import Outcome
from realitygap.guide_files import reading_once
from realitygap.inline_ignores import apply_ignores
from realitygap.rule_selection import RuleSelection
from realitygap.rules import RuleBook
from realitygap.schema import Kind
from realitygap.sources import source_lines


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """How findings are chosen and counted."""

    rules: RuleSelection = field(default_factory=RuleSelection)
    """Which rules count."""
    baseline: Path | None = None
    """Known findings, which do not count."""
    write_baseline: bool = False
    """Write what is found into the baseline instead."""
    warn_as_error: bool = False
    """Whether warnings make the check fail."""

    @classmethod
    def of(
        cls,
        config: CheckConfig,
        *,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        baseline_file: Path | None = None,
        write_baseline: bool = False,
        warn_as_error: bool = False,
    ) -> CheckOptions:
        """Of the configuration, with what the command line says in the place of it."""
        rules = RuleSelection(
            select=tuple(select) or config.select,
            ignore=tuple(ignore) or config.ignore,
            per_file=config.per_file_ignores,
            folder=config.path.parent if config.path else Path(),
        )
        return cls(
            rules=rules,
            baseline=baseline_file or config.baseline,
            write_baseline=write_baseline,
            warn_as_error=warn_as_error or config.warn_as_error,
        )


@reading_once()
def lint(paths: Sequence[Path], registry: Registry, options: CheckOptions, kind: Kind | None = None) -> Outcome:
    """Checks the paths, or everything installed, and keeps what counts.

    Raises:
        InputError: a path, an option or the baseline is wrong.
    """
    # Another check of this process may have been before a change, or in another folder.
    source_lines.cache_clear()
    book = cache(lambda: RuleBook.of(registry))
    selection = options.rules
    if selection.select or selection.ignore or selection.per_file:
        selection.require(book())
    if options.baseline is not None and not options.write_baseline:
        # A baseline that is not there is said before a long check, not after it.
        baseline.read(options.baseline)
    report = check_paths(paths, registry, kind) if paths else check_registry(registry)
    findings = [one for one in apply_ignores(report.findings, report.files, book) if selection.admits(one)]
    extra: dict[str, int] = {}
    if options.baseline is not None:
        if options.write_baseline:
            baseline.write(findings, options.baseline, paths)
        compared = baseline.compare(findings, options.baseline, paths)
        findings = list(compared.new)
        # Of what is not selected nothing is known.
        gone = 0 if selection.select or selection.ignore or selection.per_file else compared.gone
        extra = {"known": compared.known, "gone": gone}
    return _outcome(findings, report, extra, book, options)


def _outcome(
    findings: list[Finding], report: Report, extra: dict[str, int], book: Callable[[], RuleBook], options: CheckOptions
) -> Outcome:
    # Reading the rules is left out where nothing needs them.
    mended = ordered(one if one.hint else book().mended(one) for one in findings)
    summary = count(mended, skills=report.skills, plugins=report.plugins, documents=report.documents) | extra
    return Outcome(
        # A plugin that declares no rules, and a finding of its that says nothing more.
        findings=tuple(
            one if one.hint else replace(one, hint=f"ask the author of the rule, or silence it: --ignore {one.rule}") for one in mended
        ),
        summary=summary,
        files=tuple(report.files),
        rules=book,
        strict=options.warn_as_error,
    )
