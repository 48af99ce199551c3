"""``python -m emtc_export.tflite_worker MODEL FOLDER``: torch -> TFLite fp32 and int8, in a process of its own.

The converter and what it imports print, log and warn as they like, and take 1 GB of memory: ``tflite_model`` starts
this as a child and reads only the files it leaves in FOLDER.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import litert_torch
import numpy as np
import torch
from ai_edge_quantizer import qtyping, quantizer

from emtc_agent.packets import Float32
from emtc_contract.errors import EmtcError
from emtc_export.rewrite import exportable, kept_in_float
from emtc_export.tflite_file import generalize
from emtc_export.tflite_model import FP32, INT8
from emtc_trainer.saved import load_model

BATCH = 127  # prime, and no other dimension of our graphs
_SIGNATURE, _INPUT = "serving_default", "args_0"


def main(model_file: Path, folder: Path) -> None:
    """Write both files."""
    model = load_model(model_file)
    example = torch.from_numpy(_resized(model.calibration, BATCH))
    converted = folder / "converted.tflite"
    litert_torch.convert(exportable(model.module), (example,)).export(str(converted))
    (folder / FP32).write_bytes(generalize(converted.read_bytes(), BATCH))
    quantized = folder / "quantized.tflite"
    layers = len(model.module.autoencoder.decoder)
    _quantize(converted, _scope(layers), model.calibration, quantized)
    (folder / INT8).write_bytes(generalize(quantized.read_bytes(), BATCH))


def _scope(decoder_layers: int) -> str:
    """A pattern for the outputs of what to quantize, which are named after the modules that make them."""
    kept = {layer.replace("decoder.", "UpConv_") for layer in kept_in_float(decoder_layers)}
    ups = {f"UpConv_{number}" for number in range(decoder_layers)} - kept
    return f".*(Conv1d_[0-9]|{'|'.join(sorted(ups))}).*"


def _quantize(converted: Path, scope: str, rows: Float32, output: Path) -> None:
    """8-bit weights and activations of the autoencoder alone: with transforms and score in 8 bits nothing is left."""
    ranges: dict[str, Any] = {}
    for at in range(0, len(rows), BATCH):
        batch = _resized(rows[at : at + BATCH], BATCH)
        _widen(ranges, _quantizer(converted, scope).calibrate({_SIGNATURE: [{_INPUT: batch}]}, num_threads=1))
    _quantizer(converted, scope).quantize(ranges).export_model(str(output), overwrite=True)


def _quantizer(converted: Path, scope: str) -> Any:
    made = quantizer.Quantizer(str(converted))
    made.add_static_config(scope, qtyping.TFLOperationName.ALL_SUPPORTED, 8, 8)
    return made


def _widen(ranges: dict[str, Any], seen: dict[str, Any]) -> None:
    """Merge true minima and maxima: the quantizer's own moving average cuts the tails off."""
    for tensor, found in seen.items():
        known = ranges.setdefault(tensor, dict(found))
        for side, merge in (("min", np.minimum), ("max", np.maximum)):
            if side in found:
                known[side] = merge(known[side], found[side])


def _resized(rows: Float32, count: int) -> Float32:
    """``count`` rows, repeating from the start."""
    return rows[np.arange(count) % len(rows)]


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except EmtcError as error:
        sys.exit(" ".join(str(error).split()))
