"""Findings as SARIF 2.1.0, which code scanning of forges and viewers of editors read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from realitygap.baseline import fingerprint
from realitygap.errors import one_line
from realitygap.findings import Finding, json_text
from realitygap.repository import from_root
from realitygap.rules import Rule

if TYPE_CHECKING:
    from realitygap.formats import Outcome

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(outcome: Outcome) -> str:
    """One run with its rules and results, one JSON document."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        own_version = version("realitygap")
    except PackageNotFoundError:
        own_version = "0"  # run from a checkout that is not installed
    book = outcome.rules()
    # Every rule that could have been broken; a code that no table declares gets an entry of its own.
    rules = list(book.rules.values())
    number_of = {rule.code: number for number, rule in enumerate(rules)}
    described = [_rule(rule) for rule in rules]
    seen: dict[tuple[str, str], int] = {}
    results = []
    for finding in outcome.findings:
        if finding.rule not in number_of:
            number_of[finding.rule] = len(described)
            described.append({"id": finding.rule})
        results.append(_result(finding, number_of[finding.rule], seen))
    driver = {"name": "realitygap", "version": own_version, "rules": described}
    run = {
        "tool": {"driver": driver},
        # The program ran to its end; whether it found something is another question.
        "invocations": [{"executionSuccessful": True, "exitCode": int(outcome.failed)}],
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return json_text({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule(rule: Rule) -> dict[str, Any]:
    text = f"{rule.says} {rule.why} {rule.mend}"
    markdown = f"{rule.says} {rule.why}\n\n{rule.mend}\n\n```\n{rule.example}\n```\n"
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.says},
        "fullDescription": {"text": f"{rule.says} {rule.why}"},
        "help": {"text": f"{text}\n\n{rule.example}", "markdown": markdown},
        "defaultConfiguration": {"level": rule.severity},
        "properties": {"tags": [rule.plugin]},
    }


def _result(finding: Finding, number: int, seen: dict[tuple[str, str], int]) -> dict[str, Any]:
    print_ = fingerprint(finding)
    # Two alike in one file are told apart by their order.
    seen[finding.path, print_] = occurrence = seen.get((finding.path, print_), 0) + 1
    advice = f" Hint: {finding.hint}" if finding.hint else ""
    return {
        "ruleId": finding.rule,
        "ruleIndex": number,
        "level": finding.severity,
        "message": {"text": one_line(finding.message + advice)},
        "locations": [{"physicalLocation": _place(finding)}],
        "partialFingerprints": {"realitygap/v1": f"{print_}:{occurrence}"},
    }


def _place(finding: Finding) -> dict[str, Any]:
    if not finding.path:
        # Code scanning takes no result without a place: it is the installation, seen from the top of the repository.
        return {"artifactLocation": {"uri": "./", "uriBaseId": "%SRCROOT%"}}
    path = from_root(finding.path)
    if os.path.isabs(path) or path.startswith(".."):
        location = {"uri": "file://" + _quoted(os.path.abspath(finding.path))}
    else:
        # A colon in the first part would make it a scheme.
        location = {"uri": _quoted(path), "uriBaseId": "%SRCROOT%"}
    region = {"startLine": finding.line, "startColumn": finding.column, "endColumn": finding.column + finding.width}
    return {"artifactLocation": location, "region": region}


def _quoted(path: str) -> str:
    try:
        return quote(os.fsencode(path))
    except UnicodeEncodeError:  # half of a pair, which no file has in its name, and a finding may have
        return quote(path.encode("utf-8", "surrogatepass"))
