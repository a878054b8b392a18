"""Where the steps of a run have their things: folder, key, checkpoints; and what a worker is told of that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from realitygap import checkpoints
from realitygap.cache import key_parts
from realitygap.contents import digest
from realitygap.execution import Instance
from realitygap.plan import Plan
from realitygap.protocol import StepOrder


class StepPlaces:
    """Those of one run."""

    def __init__(self, run: Path, plan: Plan) -> None:
        self.run = run
        self.plan = plan
        self._keys: dict[str, tuple[str, dict[str, Any]]] = {}

    def folder(self, instance: Instance) -> Path:
        """Of its inputs, outputs and log."""
        return self.run / "steps" / instance.id

    def key(self, instance: Instance) -> tuple[str, dict[str, Any]]:
        """Its key in the cache, and the parts that it is made of. Raises InputError where a file of an input cannot be read."""
        if instance.id not in self._keys:
            parts = key_parts(instance.step.skill, instance.inputs, instance.seed, self.plan, self.run.parent)
            self._keys[instance.id] = (digest(parts), parts)
        return self._keys[instance.id]

    def checkpoint(self, instance: Instance) -> Path:
        """By key, so that the same step of another run finds it too; a run that is to start afresh finds only its own."""
        run = self.run.name if self.plan.is_fresh(instance.id) else None
        return checkpoints.place(self.run.parent.parent, self.key(instance)[0], run)

    def order(self, instance: Instance, attempt: int) -> StepOrder:
        """What a worker needs to execute it. Raises InputError as `key` does."""
        skill = instance.step.skill
        return StepOrder(
            step=instance.id,
            skill=skill.name,
            pipeline=instance.pipeline,
            entry=str(skill.entry),
            extras=skill.extras,
            folder=str(self.folder(instance)),
            checkpoint=str(self.checkpoint(instance)),
            inputs=instance.inputs,
            input_schema=skill.input_schema,
            output_schema=skill.output_schema,
            seed=instance.seed,
            effects=skill.effects,
            plugin=skill.plugin,
            observers=self.plan.observers,
            run=self.run.name,
            durable=self.plan.durable,
            facts={
                "key": self.key(instance)[0],
                "version": skill.version,
                "trit": skill.trit,
                "attempt": attempt,
                "seed": instance.seed,
            },
        )
