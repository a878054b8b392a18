"""The policy: an ONNX file with its contract inside, as `export-policy` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, InvalidProtobuf

Floats = NDArray[np.float32]


class PolicyFile:
    """Acts. One thread, so that inference takes the same time at every tick."""

    def __init__(self, path: str | Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(Path(path).read_bytes(), options, providers=["CPUExecutionProvider"])
        except (OSError, Fail, InvalidArgument, InvalidGraph, InvalidProtobuf) as error:
            raise SystemExit(f"{path}: no ONNX file that can be read: {error}") from None
        metadata = self._session.get_modelmeta().custom_metadata_map
        if "contract" not in metadata:
            raise SystemExit(f"{path}: the file holds no contract; write it with `skills run export-policy`")
        self.contract: dict[str, Any] = json.loads(metadata["contract"])
        sizes = {one.name: one.shape[1] for one in self._session.get_inputs()}
        self.observation_size: int = sizes["observation"]
        self._state_size: int = sizes.get("state", 0)
        self.reset()

    def reset(self) -> None:
        """Forgets: an episode begins."""
        self._state: Floats = np.zeros((1, self._state_size), np.float32)

    def act(self, observation_n: Floats) -> Floats:
        """Action [n] in [-1, 1] for an observation [size]."""
        feed = {"observation": observation_n[None]} | ({"state": self._state} if self._state_size else {})
        action, *rest = self._session.run(None, feed)
        if rest:
            self._state = rest[0]
        # An action that is not squashed has no limits of its own; training cut it off here too.
        clipped: Floats = np.clip(action[0], -1.0, 1.0)
        return clipped
