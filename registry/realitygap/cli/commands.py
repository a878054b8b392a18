"""The commands of the program."""

from __future__ import annotations

COMMANDS: dict[str, tuple[str, str]] = {
    "list": ("realitygap.cli.list:list_skills", "List the skills."),
    "show": ("realitygap.cli.show:show", "Show what a skill takes and gives."),
    "run": ("realitygap.cli.run:run", "Run a skill or a pipeline."),
    "runs": ("realitygap.cli.runs:runs", "List, show, cancel, resume and prune runs."),
    "graph": ("realitygap.cli.graph:graph", "Draw a pipeline."),
    "check": ("realitygap.cli.check:check", "Check manifests, guides, pipelines, triads and documents."),
    "rule": ("realitygap.cli.rule:rule", "Explain a rule of the check."),
    "plugins": ("realitygap.cli.plugins:plugins", "List the plugins and their states."),
    "doctor": ("realitygap.cli.doctor:doctor", "Check this installation."),
    "export-agent-skills": (
        "realitygap.cli.export_agent_skills:export_agent_skills",
        "Write the guides as Agent Skills, for assistants without a server.",
    ),
    "new": ("realitygap.cli.new:new", "Write a plugin: a typed, tested package."),
    "completion": ("realitygap.cli.completion:completion", "Print the completion script of a shell."),
}
"""Name to `module:attribute` and help line. The module is imported when the command is called, the line shown without it."""
