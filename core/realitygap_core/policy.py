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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import yaml
from numpy.typing import NDArray

from realitygap_core.errors import CoreError
from realitygap_core.ppo.checkpoint import digest, from_arrays, to_arrays
from realitygap_core.ppo.distributions import ActionDistribution
from realitygap_core.ppo.networks import MLP, NetworkConfig, action_distribution
from realitygap_core.ppo.normalizer import Normalizer
from realitygap_core.ppo.update import Learner
from realitygap_core.robot import Robot
from realitygap_core.task import Task

SCHEMA = 1
Floats = NDArray[np.float32]


class Actor(eqx.Module):
    """What acts: the normaliser and the network from observation to action distribution."""

    normalizer: Normalizer
    network: MLP
    log_std: jax.Array
    """[n]"""
    config: NetworkConfig = eqx.field(static=True)

    def __init__(self, observation_size: int, action_size: int, config: NetworkConfig) -> None:
        outputs = action_size * (2 if config.std == "state" else 1)
        self.normalizer = Normalizer(observation_size)
        self.network = MLP((observation_size, *config.actor_hidden, outputs), config.activation, 0.01, jax.random.PRNGKey(0))
        self.log_std = jnp.zeros(action_size, jnp.float32)
        self.config = config

    def distribution(self, observation_bn: jax.Array) -> ActionDistribution:
        """The distribution of the action [..., n] for raw observations [..., size]."""
        return action_distribution(self.network(self.normalizer.normalize(observation_bn)), self.log_std, self.config)


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
            lambda a: (a.normalizer, a.network, a.log_std), actor, (learner.policy_normalizer, network.actor, network.log_std)
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
        if contract.get("schema") != SCHEMA:
            raise CoreError(
                f"contract schema {contract.get('schema')!r} is not known; this reads {SCHEMA}", where=str(folder / "contract.yaml")
            )
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

        The model's digest is not compared: judging a
        policy on another plant is what validation does."""
        found: list[str] = []
        _compare(self.contract, contract_of(task), "", found)
        return found

    def check(self, task: Task) -> None:
        """Raises CoreError when the policy does not fit the task, and says in what."""
        if found := self.differences(task):
            where = str(self.folder / "contract.yaml") if self.folder else None
            raise CoreError(
                f"the policy does not fit task '{task.name}': {'; '.join(found[:4])}", where=where, hint="use the task it was trained on"
            )

    def distribution(self, observation_bn: jax.Array) -> ActionDistribution:
        """The distribution of the action; jittable."""
        return self.actor.distribution(observation_bn)

    def apply(self, observation_bn: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Action [..., n] for observations [..., size]: the mode, or a sample when `key` is given. Jittable."""
        distribution = self.actor.distribution(observation_bn)
        return distribution.mode() if key is None else distribution.execute(distribution.sample(key))

    def act(self, observation_bn: NDArray[Any], rng: np.random.Generator | None = None) -> Floats:
        """The same in NumPy alone, for a control loop on a robot: the mode, or a sample when `rng` is given.

        Raises:
            CoreError: the observation has another size than the contract says.
        """
        actor, config = self.actor, self.actor.config
        x = np.asarray(observation_bn, np.float32)
        size = actor.normalizer.mean.shape[0]
        if x.shape[-1:] != (size,):
            raise CoreError(
                f"the observation has shape {list(x.shape)}; its last axis must have {size} entries",
                hint="see contract.yaml for their order",
            )
        x = np.clip((x - np.asarray(actor.normalizer.mean)) / np.asarray(actor.normalizer.std), -10.0, 10.0)
        *inner, last = [(np.asarray(w), np.asarray(b)) for w, b in zip(actor.network.weights, actor.network.biases, strict=True)]
        for weight, bias in inner:
            x = _ACTIVATIONS[config.activation](x @ weight + bias)
        out = x @ last[0] + last[1]
        mean, log_std = np.split(out, 2, axis=-1) if config.std == "state" else (out, np.zeros_like(out))
        if rng is not None:
            std = np.exp(np.clip(np.asarray(actor.log_std) + log_std, *config.log_std_range))
            mean = mean + std * rng.standard_normal(mean.shape, np.float32)
        action: Floats = np.asarray(np.tanh(mean) if config.squash else mean, np.float32)
        return action


def _sigmoid_linear(x: Floats) -> Floats:
    return np.asarray(x / (1.0 + np.exp(-x)), np.float32)


_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0.0),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0.0))),
    "silu": _sigmoid_linear,
}


def contract_of(task: Task) -> dict[str, Any]:
    """What a policy for `task` must be given and gives: plain data, in order."""
    observations = [
        {
            "name": entry.name,
            "labels": list(entry.labels),
            "unit": entry.term.unit,
            "scale": list(entry.scale) if entry.scale is not None else None,
            "clip": list(entry.clip) if entry.clip is not None else None,
            "delay_s": list(entry.delay_s),
            "history": entry.history,
        }
        for entry in task.observations["policy"]
    ]
    actions = [
        {"actuator": name, "low": float(low), "high": float(high)}
        for name, low, high in zip(task.action.actuators, task.action.low, task.action.high, strict=True)
    ]
    return {
        "schema": SCHEMA,
        "task": task.name,
        "control_dt": task.control_dt,
        "observations": observations,
        "actions": actions,
        "latency_s": list(task.latency_s),
        "model": {"name": task.nominal.name, "digest": task.nominal.digest},
    }


def _compare(wanted: Any, given: Any, place: str, found: list[str]) -> None:
    if place in ("/network", "/model", "/latency_s", "/task", "/schema") or place.endswith("/delay_s"):
        return
    if isinstance(wanted, Mapping) and isinstance(given, Mapping):
        for key in wanted:
            _compare(wanted[key], given.get(key), f"{place}/{key}", found)
    elif isinstance(wanted, list) and isinstance(given, list) and wanted and isinstance(wanted[0], Mapping):
        if len(wanted) != len(given):
            found.append(f"{place[1:]}: {len(given)} entries instead of {len(wanted)}")
        for index, (one, other) in enumerate(zip(wanted, given, strict=False)):
            name = one.get("name") or one.get("actuator") or index
            _compare(one, other, f"{place}/{name}", found)
    elif not _equal(wanted, given):
        found.append(f"{place[1:]} is {given} instead of {wanted}")


def _equal(one: Any, other: Any) -> bool:
    numbers = (int, float)
    if isinstance(one, numbers) and isinstance(other, numbers):
        return bool(np.isclose(one, other, rtol=1e-9))
    return bool(one == other)


def _network(config: NetworkConfig) -> dict[str, Any]:
    return {
        "hidden": list(config.actor_hidden),
        "activation": config.activation,
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
            actor_hidden=tuple(parts["hidden"]),
            activation=parts["activation"],
            std=parts["std"],
            log_std_range=(float(low), float(high)),
            squash=bool(parts["squash"]),
        )
        sound = (
            all(isinstance(width, int) and width > 0 for width in config.actor_hidden)
            and config.activation in _ACTIVATIONS
            and config.std in ("global", "state")
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
