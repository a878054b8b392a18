"""Prompts: how an assistant goes about the four jobs that people bring."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import mcp.types as t
from mcp import MCPError
from mcp.server import ServerRequestContext
from mcp.types import INVALID_PARAMS

LONGEST_VALUE = 2_000
_FOLLOW = (
    "A call that answers with state `running` goes on by itself: ask run_status(run_id, wait_s=50) until the state is another. "
    "Look at a figure with artifact_read before you judge a curve by its numbers."
)


@dataclass(frozen=True, kw_only=True)
class Argument:
    """What a prompt asks for."""

    name: str
    description: str
    completes: str
    """What completes it: a format of inputs (`model`, `recording`, `task`), `run`, `skill`, or nothing."""
    required: bool = False


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A job, and how to go about it."""

    name: str
    title: str
    description: str
    arguments: tuple[Argument, ...]
    tools: tuple[str, ...]
    """Those of skills that its text names; a server that does not offer them all does not offer the prompt."""
    text: Callable[[Mapping[str, str]], str]


def _given(values: Mapping[str, str], *names: str) -> str:
    """The values among these names as arguments of a call; they are quoted, so that none reads as part of the prompt."""
    return json.dumps({name: values[name] for name in names if values.get(name)}, ensure_ascii=False)


def _close_the_gap(values: Mapping[str, str]) -> str:
    return f"""\
Close the gap between the simulated robot and the real one, and prove it.

1. Call entropy_sim2real with {_given(values, "recording", "model", "mapping", "task")}. Without arguments it runs on the embedded Qube.
   Where there is no task yet, call sim2real_predictive_coding instead: it stops before training. {_FOLLOW}
2. Read `gap_identified` beside `gap_nominal` and `noise_floor`, channel by channel and with units. Below twice the noise floor, more
   fitting fits noise.
3. Read `structure` before `parameters`: a term that the model lacks matters more than any value.
4. Say whether the success rate, with its interval, is enough for the real robot. If it is not, follow the first entry of `diagnosis`:
   mend the model or give `env_steps` more, and call again. What did not change comes from the cache.
5. Report: the gap before and after, what was identified with its intervals, the success rate with its interval, and what you would
   measure next on the robot. Say what the logs do not decide."""


def _why_did_transfer_fail(values: Mapping[str, str]) -> str:
    before = f"1. Call run_result with {_given(values, 'run_id')} for what is known of the training.\n" if values.get("run_id") else ""
    first = 2 if before else 1
    return f"""\
A policy that works in simulation fails on the robot. Find out why, from the logs of the robot.

{before}{first}. Call replay_recording with {_given(values, "recording", "model", "mapping")}:
   how far the model is from the robot when both get the same commands. {_FOLLOW}
{first + 1}. Call diagnose_transfer with the same arguments. Its verdicts name the kind of mismatch, the channel and the confidence, most
   certain first.
{first + 2}. Where verdicts come close to each other, say so, and name the recording that would decide between them.
{first + 3}. For a wrong parameter call identify_parameters; for latency or noise give them to the domain with adapt_domain; for a missing
   term change the model. Then train_policy under the new domain, and validate_transfer on draws that training did not see.
{first + 4}. Report the cause, the evidence for it in numbers with units, what you changed, and what is undecided."""


def _write_a_task(values: Mapping[str, str]) -> str:
    return f"""\
Write a task file for a robot, so that a policy can be trained for it. What the user wants: {_given(values, "model", "goal")}

1. Call list_components for the observations, rewards, terminations, resets and events that there are. The resource
   component://KIND/NAME has the parameters of one.
2. Call describe_task with an embedded task close to the goal, and with the model: it lists joints, actuators and sensors by name.
3. Write the YAML: model, physics and control rate, action, observations (only what the robot really measures for the policy; the rest is
   privileged), rewards, terminations, resets, events. Invent no name. Give rewards of comparable size.
4. Ask the user to save it in the workspace, then call describe_task with its path. It checks every name against the compiled model and
   says what is wrong, with line and column. Mend it until it is accepted.
5. Try it with train_policy and a small `env_steps`, look at the learning curve, then train in full. {_FOLLOW}"""


def _balance_my_triads(values: Mapping[str, str]) -> str:
    return f"""\
Check and mend the triads of a collection of skills. A group is balanced when its trits sum to 0 modulo 3.

1. Call check_triads with {_given(values, "path", "pipeline")}.
2. Read `conflicts` first: a skill that states two trits has none until its author decides. Pick none for them.
3. For each claim in `verdicts` keep the four questions apart: whether the arithmetic is right, whether the trits are those that the members
   declare, whether the members exist, and whether what is claimed is true.
4. For an unbalanced group the completing trit is the balanced residue of the negated sum: for trits 1, 1 the sum is 2, and 1 completes it.
   Propose a change only where the meaning of the skill agrees: -1 validates, 0 coordinates, +1 generates. Never change a trit for the sum.
5. Report a table: claim, place, verdicts, proposal."""


_ROBOT = (
    Argument(name="recording", description="Logs of the real robot, or the name of an embedded recording.", completes="recording"),
    Argument(name="model", description="MJCF or URDF of the robot, or the name of an embedded one.", completes="model"),
    Argument(name="mapping", description="YAML that maps the columns of a raw log.", completes="mapping"),
)
PROMPTS: dict[str, Prompt] = {
    prompt.name: prompt
    for prompt in (
        Prompt(
            name="close-the-gap",
            title="Close the gap",
            description="The whole job: measure the gap, identify the model, train under what is left uncertain, prove the transfer.",
            arguments=(*_ROBOT, Argument(name="task", description="What the policy shall learn.", completes="task")),
            tools=("entropy_sim2real", "sim2real_predictive_coding"),
            text=_close_the_gap,
        ),
        Prompt(
            name="why-did-transfer-fail",
            title="Why did the transfer fail?",
            description="From the logs of a robot to the cause of a failed transfer and what to do about it.",
            arguments=(*_ROBOT, Argument(name="run_id", description="The run that trained the policy.", completes="run")),
            tools=("replay_recording", "diagnose_transfer", "identify_parameters", "adapt_domain", "train_policy", "validate_transfer"),
            text=_why_did_transfer_fail,
        ),
        Prompt(
            name="write-a-task-for-my-robot",
            title="Write a task for my robot",
            description="A task file for a robot of the user's own, checked against its model.",
            arguments=(
                Argument(name="model", description="MJCF or URDF of the robot.", completes="model", required=True),
                Argument(name="goal", description="What the robot shall do, in words.", completes="", required=True),
            ),
            tools=("list_components", "describe_task", "train_policy"),
            text=_write_a_task,
        ),
        Prompt(
            name="balance-my-triads",
            title="Balance my triads",
            description="Judges every trit and every claim of a collection of skills, and proposes what to change.",
            arguments=(
                Argument(name="path", description="A folder with skills; without it, those installed.", completes=""),
                Argument(name="pipeline", description="A pipeline whose steps are summed.", completes="skill"),
            ),
            tools=("check_triads",),
            text=_balance_my_triads,
        ),
    )
}


class Prompts:
    """The prompts that make sense with the tools of a server."""

    def __init__(self, offered: Callable[[], Collection[str]]) -> None:
        self.offered = offered

    def known(self) -> dict[str, Prompt]:
        offered = self.offered()
        return {name: prompt for name, prompt in PROMPTS.items() if all(tool in offered for tool in prompt.tools)}

    async def list_prompts(self, ctx: ServerRequestContext[Any], params: t.PaginatedRequestParams | None) -> t.ListPromptsResult:
        return t.ListPromptsResult(
            prompts=[
                t.Prompt(
                    name=one.name,
                    title=one.title,
                    description=one.description,
                    arguments=[
                        t.PromptArgument(name=arg.name, description=arg.description, required=arg.required) for arg in one.arguments
                    ],
                )
                for one in self.known().values()
            ]
        )

    async def get_prompt(self, ctx: ServerRequestContext[Any], params: t.GetPromptRequestParams) -> t.GetPromptResult:
        prompt = self.known().get(params.name)
        if prompt is None:
            raise MCPError(INVALID_PARAMS, f"Unknown prompt: {params.name}")
        values = dict(params.arguments or {})
        known = {argument.name for argument in prompt.arguments}
        if extra := sorted(set(values) - known):
            raise MCPError(INVALID_PARAMS, f"{prompt.name} has no argument '{extra[0]}'; there are: {', '.join(sorted(known))}")
        if missing := [one.name for one in prompt.arguments if one.required and not values.get(one.name)]:
            raise MCPError(INVALID_PARAMS, f"{prompt.name} needs {', '.join(missing)}")
        if any(len(value) > LONGEST_VALUE for value in values.values()):
            raise MCPError(INVALID_PARAMS, f"an argument is longer than {LONGEST_VALUE} characters")
        return t.GetPromptResult(
            description=prompt.description, messages=[t.PromptMessage(role="user", content=t.TextContent(text=prompt.text(values)))]
        )
