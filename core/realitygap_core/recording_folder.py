"""The folder that holds a recording on disk, `NAME.recording/`:

recording.json          name, streams with their channels, logs with their row counts, findings of the import, provenance
commands.parquet        one file a stream: columns `log`, `t` and one a channel
states.parquet
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from realitygap_core.errors import CoreError
from realitygap_core.recording import ROLES, Channel, Finding, Log, Recording, Signal, Stream, Target

FORMAT = "realitygap-recording"
VERSION = 1


def write(recording: Recording, folder: Path, *, overwrite: bool) -> Path:
    """Writes the folder; it appears complete or not at all. Raises CoreError where it exists and `overwrite` is false."""
    if folder.exists() and not overwrite:
        raise CoreError(f"'{folder}' exists", where=str(folder), hint="choose another name, or ask to overwrite it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        temporary.chmod(0o755)
        for stream in recording.streams:
            pq.write_table(_to_table(recording, stream), temporary / f"{stream.name}.parquet", compression="zstd")
        text = json.dumps(_to_json(recording), indent=1, ensure_ascii=False, allow_nan=False)
        (temporary / "recording.json").write_text(text + "\n", encoding="utf-8")
        replaced = None
        if folder.exists():
            replaced = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
            folder.rename(replaced / folder.name)
        temporary.rename(folder)
        if replaced is not None:
            shutil.rmtree(replaced, ignore_errors=True)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return folder


def read(folder: Path) -> Recording:
    """The recording in the folder; its values are not checked yet. Raises CoreError where a file is missing, damaged or contradicts."""
    header = folder / "recording.json"
    if not folder.is_dir() or not header.is_file():
        raise CoreError(
            f"'{folder}' is not a recording: it has no recording.json", where=str(folder), hint="import a raw log first: `import-recording`"
        )
    try:
        content = json.loads(header.read_text(encoding="utf-8"))
        if content.get("format") != FORMAT or content.get("version") != VERSION:
            found = f"format {content.get('format')!r}, version {content.get('version')!r}"
            raise CoreError(f"'{header}' has {found}; expected {FORMAT!r}, {VERSION}", where=str(header))
        streams = tuple(_stream(item) for item in content["streams"])
        rows = {item["name"]: dict(item["rows"]) for item in content["logs"]}
        meta = {item["name"]: dict(item.get("meta", {})) for item in content["logs"]}
        findings = tuple(Finding(**item) for item in content.get("findings", []))
        name = str(content["name"])
        velocity = content.get("initial_velocity", "zero")
        provenance = dict(content.get("provenance", {}))
    except CoreError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CoreError(
            f"'{header}' is damaged: {type(error).__name__}: {error}", where=str(header), hint="import the logs again"
        ) from None
    if velocity not in ("zero", "measured"):
        raise CoreError(f"'{header}' is damaged: initial_velocity is {velocity!r}", where=str(header), hint="import the logs again")
    signals: dict[str, dict[str, Signal]] = {log: {} for log in rows}
    for stream in streams:
        for log, signal in _read_stream(folder, stream, rows).items():
            signals[log][stream.name] = signal
    data = {log: Log(name=log, signals=signals[log], meta=meta[log]) for log in rows}
    return Recording(name=name, streams=streams, data=data, initial_velocity=velocity, findings=findings, provenance=provenance)


def _to_table(recording: Recording, stream: Stream) -> pa.Table:
    signals = {name: log.signals[stream.name] for name, log in recording.data.items()}
    counts = [len(signal.t_t) for signal in signals.values()]
    names = pa.DictionaryArray.from_arrays(
        pa.array(np.repeat(np.arange(len(counts), dtype=np.int32), counts)), pa.array(list(signals), type=pa.string())
    )
    columns: dict[str, Any] = {"log": names, "t": np.concatenate([signal.t_t for signal in signals.values()] or [np.empty(0)])}
    for index, channel in enumerate(stream.channels):
        values_t = np.concatenate([signal.values_tc[:, index] for signal in signals.values()] or [np.empty(0)])
        single_t = values_t.astype(np.float32)
        columns[channel.name] = single_t if np.array_equal(single_t, values_t, equal_nan=True) else values_t
    return pa.table(columns)


def _to_json(recording: Recording) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": recording.name,
        "initial_velocity": recording.initial_velocity,
        "streams": [
            {"name": stream.name, "rate_hz": stream.rate_hz, "channels": [asdict(channel) for channel in stream.channels]}
            for stream in recording.streams
        ],
        "logs": [
            {"name": log.name, "rows": {name: len(signal.t_t) for name, signal in log.signals.items()}, "meta": dict(log.meta)}
            for log in recording.data.values()
        ],
        "findings": [{**asdict(finding), "figures": dict(finding.figures)} for finding in recording.findings],
        "provenance": dict(recording.provenance),
    }


def _stream(item: Mapping[str, Any]) -> Stream:
    channels = []
    for entry in item["channels"]:
        target = Target(**entry["target"]) if entry.get("target") else None
        if entry["role"] not in ROLES:
            raise ValueError(f"channel '{entry['name']}' has the role {entry['role']!r}")
        channels.append(Channel(**{**entry, "target": target}))
    if Path(item["name"]).name != item["name"] or item["name"].startswith("."):
        raise ValueError(f"{item['name']!r} is no name for a stream")
    return Stream(name=item["name"], channels=tuple(channels), rate_hz=item.get("rate_hz"))


def _read_stream(folder: Path, stream: Stream, rows: Mapping[str, Mapping[str, int]]) -> dict[str, Signal]:
    file = folder / f"{stream.name}.parquet"
    if not file.is_file():
        raise CoreError(f"recording '{folder.name}' lacks the file '{file.name}'", where=str(file), hint="import the logs again")
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CoreError(
            f"'{file.name}' of recording '{folder.name}' is truncated or damaged: {first}", where=str(file), hint="import the logs again"
        ) from None
    wanted = ("log", "t", *(channel.name for channel in stream.channels))
    for column in wanted:
        if column not in table.column_names:
            raise CoreError(
                f"recording '{folder.name}', stream '{stream.name}': no channel '{column}'",
                where=str(file),
                hint=f"the file has: {', '.join(table.column_names)}",
            )
    try:
        coded = table.column("log").combine_chunks().dictionary_encode()
        codes_t, labels = np.asarray(coded.indices.fill_null(-1)), coded.dictionary.to_pylist()
        t_t = table.column("t").to_numpy().astype(np.float64)
        values_tc = np.column_stack([table.column(channel.name).to_numpy().astype(np.float64) for channel in stream.channels])
    except (ValueError, TypeError, AttributeError, pa.ArrowException) as error:
        raise CoreError(
            f"'{file.name}' of recording '{folder.name}' holds something other than numbers: {error}", where=str(file)
        ) from None
    signals = {}
    for log, counts in rows.items():
        index = np.flatnonzero(codes_t == labels.index(log)) if log in labels else np.empty(0, dtype=np.intp)
        expected = counts.get(stream.name)
        if expected != len(index):
            raise CoreError(
                f"recording '{folder.name}', log '{log}', stream '{stream.name}': {len(index)} rows where recording.json says {expected}",
                where=str(file),
                hint="the file is truncated or does not belong to this recording; import the logs again",
            )
        signals[log] = Signal(t_t=t_t[index], values_tc=values_tc[index], channels=stream.channels)
    return signals
