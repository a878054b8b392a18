"""`skills graph NAME`, `skills graph --triads`."""

from __future__ import annotations

import click

from realitygap.cli.skill_name import SkillName
from realitygap.cli.terminal import echo
from realitygap.discovery import Registry


@click.command("graph")
@click.argument("name", type=SkillName(), required=False)
@click.option("--triads", is_flag=True, help="Draw the groups that skills declare to balance in: all, or those with NAME.")
@click.option("--format", "form", type=click.Choice(["mermaid", "dot", "svg"]), default="mermaid", show_default=True)
def graph(name: str | None, triads: bool, form: str) -> None:
    """Draw a pipeline: its steps, their trits, and what waits for what. Or, with --triads, which skills are in which group.

    SVG of a pipeline is drawn by graphviz, which must be installed; SVG of triads needs nothing.
    """
    registry = Registry.discover()
    if triads:
        from realitygap.triad_graph import draw as draw_triads

        echo(draw_triads(registry, name, form))
        return
    if name is None:
        raise click.UsageError("name a pipeline or a skill, or say --triads")
    from realitygap.graph import draw

    skill = registry.skill(name)
    if skill.is_pipeline:
        from realitygap.pipeline_check import require_sound

        require_sound(skill, registry)
    echo(draw(skill, registry, form))
