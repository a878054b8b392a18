"""compare-domains: pairs, nulls, units, and honesty about small samples."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from skillbench import skill_function

from realitygap.components import Catalog
from realitygap.context import RunContext
from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap.plugin_record import PluginRecord
from realitygap_core.divergences import Divergence
from realitygap_core.errors import CoreError
from realitygap_core.recording import Channel, Log, Recording, Signal, Stream

compare = skill_function("compare-domains")

CHANNELS = (
    Channel(name="angle", role="sensor", unit="rad", quantity="position"),
    Channel(name="rate", role="state", unit="rad/s", quantity="velocity"),
)


def recording(values: dict[str, np.ndarray], channels: tuple[Channel, ...] = CHANNELS) -> Recording:
    stream = Stream(name="sensors", channels=channels, rate_hz=100.0)
    logs = {
        name: Log(name=name, signals={"sensors": Signal(t_t=np.arange(len(v)) / 100, values_tc=v, channels=channels)})
        for name, v in values.items()
    }
    return Recording(name="r", streams=(stream,), data=logs)


def motions(seed: int, logs: int = 6, samples: int = 400, *, scale: float = 1.0, noise: float = 0.05) -> dict[str, np.ndarray]:
    """A different sine a log (the same for every seed), with a wandering error of its own (different for every seed)."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples) / 100
    made = {}
    for index in range(logs):
        wander = np.cumsum(rng.standard_normal(samples)) * noise / 10
        angle = scale * np.sin((2 + index) * t) + wander
        made[f"log{index}"] = np.stack([angle, np.gradient(angle, 0.01)], axis=1)
    return made


@pytest.fixture
def run(tmp_path: Path) -> RunContext:
    return RunContext(folder=tmp_path / "step", seed=1)


def saved(tmp_path: Path, name: str, values: dict[str, np.ndarray], **options) -> str:
    return str(recording(values, **options).save(tmp_path / f"{name}.recording"))


def test_a_scaled_signal_differs_and_every_measure_has_its_null(tmp_path, run):
    inputs = {"sim": saved(tmp_path, "sim", motions(1)), "real": saved(tmp_path, "real", motions(2, scale=1.5)), "max_samples": 600}
    outputs = compare(inputs, run)
    measures = outputs["measures"]
    assert {
        "gaussian_w2",
        "gaussian_kl",
        "knn_kl",
        "sliced_w2",
        "mmd2",
        "energy",
        "ks[angle]",
        "w1[rate]",
        "r2[angle]",
        "nrmse[rate]",
    } <= set(measures)
    for name, row in measures.items():
        assert {"value", "null", "low", "high", "p_value", "unit", "verdict"} <= set(row), name
        assert 0 < row["p_value"] <= 1
    assert measures["energy"]["verdict"] == "differs"
    # Six pairs: all 64 swaps, of which the observed one and its mirror are at least as extreme.
    assert measures["energy"]["p_value"] == 2 / 64
    assert measures["energy"]["value"] > measures["energy"]["null"]
    assert measures["w1[angle]"]["unit"] == "rad"
    # Real = 1.5 sim: the error is a third of the real signal's spread.
    assert abs(measures["nrmse[angle]"]["value"] - 1 / 3) < 0.1
    assert outputs["entropies"]["difference"] < 0
    assert outputs["mutual_information"]["angle"]["gaussian_copula"] > outputs["mutual_information"]["angle"]["null"]
    json.dumps(outputs, allow_nan=False)
    assert (run.folder / "artifacts" / "figures" / "divergences.svg").is_file()


def test_signals_of_the_same_process_do_not_differ(tmp_path, run):
    inputs = {
        "sim": saved(tmp_path, "sim", motions(1)),
        "real": saved(tmp_path, "real", motions(2)),
        "measures": ["energy", "mmd2", "gaussian_w2"],
    }
    outputs = compare(inputs, run)
    assert set(outputs["measures"]) == {"energy", "mmd2", "gaussian_w2"}
    assert {row["verdict"] for row in outputs["measures"].values()} == {"same"}
    assert "no difference found" in outputs["summary"]


def test_too_few_logs_are_undecided_and_blocks_can_decide(tmp_path, run):
    sim, real = saved(tmp_path, "sim", motions(1, logs=2)), saved(tmp_path, "real", motions(2, logs=2, scale=2.0))
    row = compare({"sim": sim, "real": real, "measures": ["energy"]}, run)["measures"]["energy"]
    assert row["verdict"] == "undecided"
    # Two pairs: 4 swaps, 2 of them as extreme.
    assert row["minimum_p"] == row["p_value"] == 0.5
    assert any("too few" in warning for warning in run.warnings)
    row = compare({"sim": sim, "real": real, "measures": ["energy"], "block": 1.0}, run)["measures"]["energy"]
    assert row["verdict"] == "differs"


def made(*, spread: float = 1.0, by_channel: bool = False, wrong: bool = False) -> Divergence:
    """The difference of means over `spread`: a divergence whose value is easy to follow."""

    def compute(real: np.ndarray, sim: np.ndarray) -> float:
        return float("nan") if wrong else float(np.abs(real.mean() - sim.mean()) / spread)

    return Divergence(compute=compute, unit="" if by_channel else "1", by_channel=by_channel)


@pytest.fixture
def with_a_plugin(tmp_path: Path) -> RunContext:
    parameters = {
        "spread": {"type": "number", "exclusiveMinimum": 0, "default": 1.0},
        "by_channel": {"type": "boolean", "default": False},
        "wrong": {"type": "boolean", "default": False},
    }
    one = {"kind": "divergence", "name": "means", "factory": f"{__name__}:made", "parameters": parameters}
    record = PluginRecord(name="acme", package="acme", distribution="acme-gap", version="1", builtin=False, components=(one,))
    return RunContext(folder=tmp_path / "step", seed=1, catalog=Catalog(Registry([record], [])))


def test_a_divergence_of_a_plugin_gets_its_null_and_its_p_value(tmp_path, with_a_plugin):
    rng = np.random.default_rng(3)
    sim = {f"log{index}": rng.standard_normal((50, 2)) for index in range(6)}
    real = {name: values + np.array([10.0, 0.0]) for name, values in sim.items()}
    inputs = {"sim": saved(tmp_path, "sim", sim), "real": saved(tmp_path, "real", real), "measures": ["energy"]}
    by_channel = {"name": "means", "params": {"by_channel": True, "spread": 2.0}}
    measures = compare({**inputs, "divergences": [by_channel]}, with_a_plugin)["measures"]
    assert set(measures) == {"energy", "means[angle]", "means[rate]"}
    # In the channel's own unit: means 10 apart, over 2. All six pairs differ the same way: the observed swap and its mirror of 64.
    assert measures["means[angle]"]["value"] == pytest.approx(5.0)
    assert (measures["means[angle]"]["unit"], measures["means[angle]"]["p_value"]) == ("rad", 2 / 64)
    assert measures["means[rate]"]["value"] == pytest.approx(0.0)
    # Joint: in pooled standard deviations of each channel, and the mean runs over two channels, of which one differs.
    joint = compare({**inputs, "divergences": ["means"]}, with_a_plugin)["measures"]["means"]
    spread = np.concatenate([x[:, 0] for x in [*sim.values(), *real.values()]]).std()
    assert joint["value"] == pytest.approx(10 / spread / 2, rel=1e-6)
    assert joint["verdict"] == "differs"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["maens"], "unknown divergence 'maens'"),
        ([{"name": "means", "params": {"spread": -1}}], "'spread' must be more than 0"),
        (["energy"], "'energy' is a measure that is always there"),
        ([{"name": "means", "params": {"wrong": True}}], "divergence 'means' is nan"),
    ],
)
def test_a_divergence_that_cannot_be_taken_is_told(tmp_path, with_a_plugin, asked, message):
    inputs = {"sim": saved(tmp_path, "sim", motions(1)), "real": saved(tmp_path, "real", motions(2)), "measures": ["energy"]}
    with pytest.raises((InputError, CoreError), match=message):
        compare({**inputs, "divergences": asked}, with_a_plugin)


def test_logs_of_other_names_are_compared_unpaired_without_pairwise_measures(tmp_path, run):
    renamed = {f"other{k}": v for k, v in motions(2).items()}
    outputs = compare({"sim": saved(tmp_path, "sim", motions(1)), "real": saved(tmp_path, "real", renamed)}, run)
    assert not any(name.startswith(("r2", "nrmse")) for name in outputs["measures"])
    assert outputs["mutual_information"] == {}
    assert outputs["trajectories"]["paired"] is False


def test_a_quantised_channel_is_dithered_and_a_dead_one_left_out(tmp_path, run):
    sim, real = motions(1), motions(2)
    step = 2 * np.pi / 128
    coarse = {k: np.stack([np.round(v[:, 0] / step) * step, np.zeros(len(v))], axis=1) for k, v in real.items()}
    still = {k: np.stack([v[:, 0], np.zeros(len(v))], axis=1) for k, v in sim.items()}
    outputs = compare(
        {"sim": saved(tmp_path, "sim", still), "real": saved(tmp_path, "real", coarse), "measures": ["knn_kl", "energy"]}, run
    )
    assert outputs["trajectories"]["dithered"] == ["angle"]
    assert outputs["trajectories"]["dropped"] == ["rate"]
    assert np.isfinite(outputs["measures"]["knn_kl"]["value"])


def test_findings_of_either_recording_are_warned_of(tmp_path, run):
    real = recording(motions(2))
    t = np.arange(400) / 100 + np.where(np.arange(400) >= 200, 1.0, 0.0)
    logs = {
        name: Log(name=name, signals={"sensors": Signal(t_t=t, values_tc=log.signals["sensors"].values_tc, channels=CHANNELS)})
        for name, log in real.data.items()
    }
    gappy = Recording(name="gappy", streams=real.streams, data=logs).save(tmp_path / "gappy.recording")
    compare({"sim": saved(tmp_path, "sim", motions(1)), "real": str(gappy), "measures": ["energy"], "max_samples": 100}, run)
    assert [w.split(";")[0] for w in run.warnings if "gap" in w] == ["gappy: gap in 6 of 6 logs"]


def test_no_shared_channel_is_refused_with_what_there_is(tmp_path, run):
    other = (Channel(name="x", role="sensor", unit="m"), Channel(name="y", role="sensor", unit="m"))
    sim, real = saved(tmp_path, "sim", motions(1), channels=other), saved(tmp_path, "real", motions(2))
    with pytest.raises(InputError, match="share no measured channel"):
        compare({"sim": sim, "real": real}, run)
    with pytest.raises(InputError, match="no channel 'z'"):
        compare({"sim": real, "real": real, "channels": ["z"]}, run)


def test_the_same_seed_gives_the_same_result(tmp_path, run):
    inputs = {"sim": saved(tmp_path, "sim", motions(1)), "real": saved(tmp_path, "real", motions(2)), "measures": ["sliced_w2", "r2"]}
    again = RunContext(folder=tmp_path / "again", seed=1)
    assert compare(inputs, run)["measures"] == compare(inputs, again)["measures"]
