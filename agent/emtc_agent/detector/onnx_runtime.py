"""onnxruntime behind the ``Runtime`` protocol."""

from __future__ import annotations

import os

import numpy as np

from emtc_agent.detector.runtimes import Scores
from emtc_agent.packets import Float32
from emtc_contract.bundle import INPUT, OUTPUTS, Artifact
from emtc_contract.errors import BundleError

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: the wheels carry a collector that is on by default
import onnxruntime as ort

MAX_ROWS = 128


class OnnxRuntime:
    """One session.

    Args:
        model: ONNX bytes.
        artifact: What they are.
        columns: Features per row.
        threads: Threads that score.
    """

    name = "onnxruntime"

    def __init__(self, model: bytes, artifact: Artifact, columns: int, threads: int = 1) -> None:
        self.artifact = artifact
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises bare RuntimeError subclasses of its own
            raise BundleError(f"{artifact.file}: onnxruntime cannot load it: {str(error)[:200]}") from None
        inputs = {one.name: one.shape for one in self._session.get_inputs()}
        outputs = {one.name for one in self._session.get_outputs()}
        if list(inputs) != [INPUT] or inputs[INPUT][-1] != columns or not set(OUTPUTS) <= outputs:
            raise BundleError(
                f"{artifact.file}: takes {inputs}, gives {sorted(outputs)}; not a model of this product"
            )

    def run(self, features: Float32) -> Scores:
        """Score rows, at most ``MAX_ROWS`` at a time."""
        pieces = [
            self._session.run(OUTPUTS, {INPUT: features[begin : begin + MAX_ROWS]})
            for begin in range(0, max(len(features), 1), MAX_ROWS)
        ]
        score, errors, latent = (np.concatenate(column) for column in zip(*pieces, strict=True))
        return Scores(score, errors, latent)
