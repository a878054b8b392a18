"""`skills run NAME`."""

from __future__ import annotations

import shutil
from typing import Any

import click

from realitygap.cli.skill_name import SkillName
from realitygap.cli.terminal import echo, echo_json, styled
from realitygap.discovery import Registry


@click.command("run")
@click.argument("name", type=SkillName())
@click.option("-i", "--input", "assignments", multiple=True, metavar="KEY=VALUE", help="An input; repeat the key for a list.")
@click.option("--inputs", "inputs_file", metavar="FILE", help="Inputs from a YAML or JSON file, or - for stdin.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Seed of all that is random.")
@click.option("--dry-run", is_flag=True, help="Say what would run and why; write nothing.")
@click.option("--explain", metavar="STEP", help="Say what the key of a step is made of and what changed; write nothing.")
@click.option("--no-cache", is_flag=True, help="Use no earlier result.")
@click.option("--refresh", multiple=True, metavar="STEP", help="Run this step even if the cache has it; may be repeated.")
@click.option("--keep-going", is_flag=True, help="After a failure go on with the steps that do not depend on it.")
@click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Steps at the same time; the cores are shared out.")
@click.option("--executor", metavar="NAME", help="Where steps run: local (the default), ray; or the variable REALITYGAP_EXECUTOR.")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
@click.option("--detach", is_flag=True, help="Print the id of the run and return; `skills runs` follows it.")
def run(
    name: str,
    assignments: tuple[str, ...],
    inputs_file: str | None,
    as_json: bool,
    seed: int,
    dry_run: bool,
    explain: str | None,
    no_cache: bool,
    refresh: tuple[str, ...],
    keep_going: bool,
    jobs: int,
    executor: str | None,
    quiet: bool,
    detach: bool,
) -> int:
    """Run a skill or a pipeline.

    Exit code: 0 done, 2 something in the inputs is wrong, 3 the run failed, 130 interrupted.
    """
    from realitygap.inputs import check_names, parse_assignments, read_inputs
    from realitygap.plan import Options
    from realitygap.runs import RunHandle, RunStore, plan_run

    registry = Registry.discover()
    skill = registry.skill(name)
    given: dict[str, Any] = {} if inputs_file is None else read_inputs(inputs_file)
    check_names(given, skill, where=inputs_file)
    given |= parse_assignments(assignments, skill)
    options = Options(jobs=jobs, keep_going=keep_going, cache=not no_cache, refresh=refresh, executor=executor, detached=detach)
    plan = plan_run(name, given, registry=registry, seed=seed, options=options, need_extras=not (dry_run or explain))
    store = RunStore()
    if dry_run or explain:
        return _forecast(plan, store, explain, as_json)
    fresh = not store.home.exists()
    run_id, descriptor = store.create(plan)
    store.launch(run_id, descriptor)
    if detach:
        if as_json:
            echo_json({"run": run_id, "skill": name, "folder": str(store.folder(run_id))})
        else:
            echo(run_id)
        return 0
    from realitygap.cli.follow import follow

    code = follow(RunHandle(run_id, store), as_json=as_json, quiet=quiet)
    if fresh and not store.folder(run_id).exists() and not any(store.runs_folder.iterdir()):
        shutil.rmtree(store.home, ignore_errors=True)
    return code


def _forecast(plan: Any, store: Any, step: str | None, as_json: bool) -> int:
    from realitygap import preview

    if step:
        one = preview.explain(plan, store.home, step)
        if as_json:
            echo_json(one.to_json())
            return 0
        echo(f"{one.verdict}  {one.step}  {one.reason}")
        for change in one.changes:
            echo(f"  {change}")
        if one.parts is not None:
            echo(f"key {one.key}")
            for line in _flat(one.parts):
                echo(f"  {line}")
        return 0
    forecasts = preview.preview(plan, store.home)
    if as_json:
        short = [{name: value for name, value in one.to_json().items() if name != "parts"} for one in forecasts]
        echo_json({"skill": plan.skill.name, "steps": short})
        return 0
    width = max((len(one.step) for one in forecasts), default=0)
    for one in forecasts:
        echo(f"{styled(one.verdict, 'green' if one.verdict == 'HIT' else 'yellow')}  {one.step:<{width}}  {one.reason}")
    return 0


def _flat(parts: dict[str, Any], prefix: str = "") -> list[str]:
    lines = []
    for name, value in parts.items():
        if isinstance(value, dict):
            lines += _flat(value, f"{prefix}{name}.")
        else:
            lines.append(f"{prefix}{name} = {value}")
    return lines
