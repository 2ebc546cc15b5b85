"""ONNX Runtime from Python, set as the engine sets it: one thread, no telemetry."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from models.training_set import Rows

# ONNX Runtime's Linux wheel reports home and keeps a device id, unless told so before the library loads.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime


class Scorer:
    """One loaded model. `log_odds` takes float32 [n, f] and gives float32 [n], the node's own output."""

    def __init__(self, model: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        (self._input,) = (each.name for each in self._session.get_inputs())
        (self._output,) = (each.name for each in self._session.get_outputs())

    def log_odds(self, rows: Rows) -> npt.NDArray[np.float32]:
        scores: npt.NDArray[np.float32] = self._session.run([self._output], {self._input: rows})[0]
        return scores[:, 0]
