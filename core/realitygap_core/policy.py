"""The policy bundle: a folder with weights, the contract of inputs and outputs, its task and model, and how it came to be.

weights.npz      the actor and the normaliser of its observations
contract.yaml    observations and actions in order, with sizes, units, scales, delays and limits; rates; the model's digest
task.yaml        the task as it was given, with `model: model.xml`
model.xml        the robot that it was trained on
provenance.json  seeds, steps, digests, versions
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import yaml
from numpy.typing import NDArray

from realitygap_core.contract import check_schema, contract_of, differences, in_short, robot_differences
from realitygap_core.errors import CoreError
from realitygap_core.ppo.checkpoint import digest, from_arrays, to_arrays
from realitygap_core.ppo.distributions import ActionDistribution
from realitygap_core.ppo.networks import ACTIVATIONS, MLP, NetworkConfig, action_distribution
from realitygap_core.ppo.normalizer import Normalizer
from realitygap_core.ppo.recurrent import Recurrent
from realitygap_core.ppo.update import Learner
from realitygap_core.robot import Robot
from realitygap_core.task import Task

Floats = NDArray[np.float32]


class Actor(eqx.Module):
    """What acts: the normaliser, what it remembers, and the network from observation to action distribution."""

    normalizer: Normalizer
    memory: Recurrent | None
    """The recurrent layer before the network; None without one."""
    network: MLP
    log_std: jax.Array
    """[n]"""
    config: NetworkConfig = eqx.field(static=True)

    def __init__(self, observation_size: int, action_size: int, config: NetworkConfig) -> None:
        """All zeros: the values are put in."""
        self.normalizer = Normalizer(observation_size)
        self.memory = Recurrent(observation_size, config.memory, config.kind, None) if config.kind != "mlp" else None
        size = observation_size if self.memory is None else config.memory
        self.network = MLP((size, *config.actor_hidden, action_size * config.outputs), config.activation, 0.01, None)
        self.log_std = jnp.zeros(action_size, jnp.float32)
        self.config = config

    def step(self, observation_bn: jax.Array, state_bs: jax.Array) -> tuple[ActionDistribution, jax.Array]:
        """The distribution of the action [..., n] for raw observations [..., size], and what is remembered [..., s] after them."""
        x = self.normalizer.normalize(observation_bn)
        if self.memory is not None:
            x, state_bs = self.memory.step(x, state_bs)
        return action_distribution(self.network(x), self.log_std, self.config), state_bs


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A trained policy with its contract."""

    actor: Actor
    contract: Mapping[str, Any]
    """Content of contract.yaml."""
    provenance: Mapping[str, Any]
    """Content of provenance.json."""
    folder: Path | None = None
    """Where it was loaded from."""

    @staticmethod
    def from_learner(learner: Learner, task: Task, provenance: Mapping[str, Any] | None = None) -> Policy:
        """The acting part of what was trained on `task`."""
        network = learner.network
        actor = Actor(learner.policy_normalizer.mean.shape[0], network.log_std.shape[0], network.config)
        actor = eqx.tree_at(
            lambda a: (a.normalizer, a.memory, a.network, a.log_std),
            actor,
            (learner.policy_normalizer, network.actor_memory, network.actor, network.log_std),
            is_leaf=lambda leaf: leaf is None,
        )
        about = dict(provenance or {}) | {"digest": digest(actor), "versions": _versions()}
        return Policy(actor=actor, contract=contract_of(task) | {"network": _network(network.config)}, provenance=about)

    @staticmethod
    def load(path: str | Path) -> Policy:
        """The policy in a bundle's folder. Raises CoreError for a bundle that is missing, incomplete, newer than this code, or damaged."""
        folder = Path(path)
        if not folder.is_dir():
            raise CoreError(
                f"no policy bundle '{folder}'", where=str(folder), hint="give the folder that `train-policy` put out as `policy`"
            )
        contract = _mapping(folder / "contract.yaml")
        check_schema(contract, str(folder / "contract.yaml"))
        provenance = _mapping(folder / "provenance.json")
        observation_size, action_size, config = _sizes(contract, folder / "contract.yaml")
        weights = folder / "weights.npz"
        try:
            with np.load(weights, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise CoreError("the weights cannot be read", where=str(weights), hint="train the policy anew") from error
        # Shapes alone: nothing is allocated by what the contract says until the weights are known to agree.
        shapes = eqx.filter_eval_shape(Actor, observation_size, action_size, config)
        actor: Actor = from_arrays(shapes, arrays, where=str(weights))
        if provenance.get("digest") != digest(actor):
            raise CoreError(
                "the weights are not those that were saved", where=str(weights), hint="the bundle is damaged: copy or train it anew"
            )
        return Policy(actor=actor, contract=contract, provenance=provenance, folder=folder)

    def save(self, folder: Path, *, task_spec: Mapping[str, Any], robot: Robot) -> Path:
        """Writes the bundle; `task_spec` is the task file's content and `robot` the nominal robot it was compiled with."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "weights.npz").open("wb") as file:
            np.savez(file, **to_arrays(self.actor))  # type: ignore[arg-type]
        exact = _write_model(robot, folder / "model.xml")
        (folder / "contract.yaml").write_text(yaml.safe_dump(dict(self.contract), sort_keys=False, allow_unicode=True), encoding="utf-8")
        spec = {name: value for name, value in task_spec.items() if name != "domain"} | {"model": "model.xml"}
        (folder / "task.yaml").write_text(yaml.safe_dump(spec, sort_keys=False, allow_unicode=True), encoding="utf-8")
        about = dict(self.provenance) | {"model_exact": exact}
        (folder / "provenance.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return folder

    @property
    def task_file(self) -> Path:
        """The task in the bundle. Raises CoreError when the policy was not loaded from a bundle with one."""
        if self.folder is None or not (self.folder / "task.yaml").is_file():
            raise CoreError("the bundle holds no task", where=str(self.folder or ""), hint="name the task")
        return self.folder / "task.yaml"

    def differences(self, task: Task) -> list[str]:
        """What of the contract `task` does not keep, one sentence each; empty when the policy fits.

        The model's digest is not compared: judging a policy on another plant is what validation does."""
        return differences(self.contract, task)

    def robot_differences(self, robot: Robot) -> list[str]:
        """In what `robot` is not the robot that the policy was trained on, by name; empty for the very same model."""
        model = self.folder / "model.xml" if self.folder is not None else None
        return robot_differences(self.contract, robot, Robot.load(model) if model is not None and model.is_file() else None)

    def check(self, task: Task) -> None:
        """Raises CoreError when the policy does not fit the task, and says in what."""
        if found := self.differences(task):
            where = str(self.folder / "contract.yaml") if self.folder else None
            raise CoreError(
                f"the policy does not fit task '{task.name}': {in_short(found)}", where=where, hint="use the task it was trained on"
            )

    @property
    def state_size(self) -> int:
        """Numbers that the policy remembers from one control step to the next; 0 without a memory."""
        return 0 if self.actor.memory is None else self.actor.memory.state_size

    def initial_state(self, batch: int) -> jax.Array:
        """What is remembered [batch, s] when an episode begins: nothing, which is zero."""
        return jnp.zeros((batch, self.state_size), jnp.float32)

    def step(self, observation_bn: jax.Array, state_bs: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        """Action [B, n] for observations [B, size], the mode or, when `key` is given, a sample; and what is remembered [B, s]. Jittable."""
        distribution, state_bs = self.actor.step(observation_bn, state_bs)
        return distribution.mode() if key is None else distribution.execute(distribution.sample(key)), state_bs

    def apply(self, observation_bn: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """The same for a policy without a memory. Raises CoreError for one that has a memory."""
        if self.actor.memory is not None:
            raise CoreError("this policy remembers: its action depends on the steps before", hint="use `step`")
        return self.step(observation_bn, jnp.zeros((*observation_bn.shape[:-1], 0)), key)[0]


def _network(config: NetworkConfig) -> dict[str, Any]:
    memory = {"memory": config.memory} if config.kind != "mlp" else {}
    choices = {"choices": config.choices} if config.head == "categorical" else {}
    return {
        "kind": config.kind,
        **memory,
        "hidden": list(config.actor_hidden),
        "activation": config.activation,
        "head": config.head,
        **choices,
        "std": config.std,
        "log_std_range": list(config.log_std_range),
        "squash": config.squash,
    }


def _sizes(contract: Mapping[str, Any], where: Path) -> tuple[int, int, NetworkConfig]:
    """Sizes of observation and action, and the network, as the contract has them. Raises CoreError."""
    try:
        parts = contract["network"]
        low, high = parts["log_std_range"]
        config = NetworkConfig(
            kind=parts.get("kind", "mlp"),
            memory=parts.get("memory", 64),
            head=parts.get("head", "gaussian"),
            choices=parts.get("choices", 11),
            actor_hidden=tuple(parts["hidden"]),
            activation=parts["activation"],
            std=parts["std"],
            log_std_range=(float(low), float(high)),
            squash=bool(parts["squash"]),
        )
        sound = (
            all(isinstance(width, int) and width > 0 for width in (*config.actor_hidden, config.memory, config.choices))
            and config.activation in ACTIVATIONS
            and config.std in ("global", "state")
            and config.kind in ("mlp", "gru", "lstm")
            and config.head in ("gaussian", "categorical")
        )
        observation_size = sum(len(entry["labels"]) for entry in contract["observations"])
        action_size = len(contract["actions"])
    except KeyError as error:
        raise CoreError(f"the contract lacks {error}", where=str(where), hint="train the policy anew") from error
    except (TypeError, ValueError) as error:
        raise CoreError(f"the contract is damaged: {error}", where=str(where), hint="train the policy anew") from error
    if not sound:
        raise CoreError("the contract describes a network that there is not", where=str(where), hint="train the policy anew")
    return observation_size, action_size, config


def _write_model(robot: Robot, path: Path) -> bool:
    """Writes a self-contained model file; True when it compiles to the very same model."""
    if (
        robot.path is not None
        and robot.path.suffix == ".xml"
        and "file=" not in (text := robot.path.read_text(encoding="utf-8"))
        and "<robot" not in text
    ):
        shutil.copyfile(robot.path, path)
    else:
        path.write_text(robot.fresh_spec().to_xml(), encoding="utf-8")
    try:
        return Robot.load(path).digest == robot.digest
    except CoreError:
        return False  # it refers to meshes elsewhere: the contract's digest tells the models apart


def _mapping(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CoreError(
            f"the bundle's {path.name} cannot be read", where=str(path), hint="it is not a policy bundle, or an incomplete one"
        ) from error
    if not isinstance(content, dict):
        raise CoreError(f"the bundle's {path.name} is no mapping", where=str(path), hint="it is not a policy bundle, or a damaged one")
    return content


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("jax", "mujoco", "equinox", "optax", "numpy")}
