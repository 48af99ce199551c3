"""torch -> TFLite, by the converter of the ``export-tflite`` extra in a child process."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from emtc_contract.errors import BundleError
from emtc_trainer.saved import TrainedModel, save_model

FP32, INT8 = "model.tflite", "model.int8.tflite"
"""What the child process leaves in its folder, and what the bundle calls them."""


def installed() -> bool:
    """Whether the converter is there; does not import it."""
    return all(importlib.util.find_spec(name) is not None for name in ("litert_torch", "ai_edge_quantizer"))


def to_tflite(model: TrainedModel) -> tuple[bytes, bytes]:
    """TFLite bytes of a detector, fp32 and int8: ``features`` (rows, F) float32 -> ``score``, ``errors``, ``latent``.

    Raises:
        BundleError: The converter failed; says with what.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(folder / "model.pt", model)
        command = [sys.executable, "-m", "emtc_export.tflite_worker", str(folder / "model.pt"), name]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603
        if done.returncode:
            last = done.stderr.strip().rpartition("\n")[2]
            raise BundleError(f"the TFLite converter failed: {last[:300] or done.returncode}")
        return (folder / FP32).read_bytes(), (folder / INT8).read_bytes()
