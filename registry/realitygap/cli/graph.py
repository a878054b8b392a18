"""`skills graph NAME`."""

from __future__ import annotations

import click

from realitygap.cli.skill_name import SkillName
from realitygap.cli.terminal import echo
from realitygap.discovery import Registry


@click.command("graph")
@click.argument("name", type=SkillName())
@click.option("--format", "form", type=click.Choice(["mermaid", "dot"]), default="mermaid", show_default=True)
def graph(name: str, form: str) -> None:
    """Draw a pipeline: its steps, their trits, and what waits for what."""
    from realitygap.graph import draw

    registry = Registry.discover()
    skill = registry.skill(name)
    if skill.is_pipeline:
        from realitygap.pipeline_check import require_sound

        require_sound(skill, registry)
    echo(draw(skill, registry, form))
