"""ONNX fp32 -> int8: the autoencoder's wide convolutions in 8 bits, all else as it is."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx

from emtc_agent.detector import onnx_runtime  # noqa: F401  silences telemetry before onnxruntime is imported below
from emtc_agent.packets import Float32
from emtc_contract.bundle import INPUT
from emtc_export.onnx_model import serialize
from emtc_export.rewrite import kept_in_float

from onnxruntime.quantization import QuantFormat, QuantType, quantize_static  # isort: skip
from onnxruntime.quantization.calibrate import CalibrationDataReader  # isort: skip
from onnxruntime.quantization.shape_inference import quant_pre_process  # isort: skip

_IN_AUTOENCODER = ["Conv", "Relu"]  # operators that occur nowhere else in the graph: see test_build.py
_BATCH = 256


def to_int8(model: bytes, rows: Float32) -> bytes:
    """Quantize with ranges seen in calibration rows.

    Args:
        model: ONNX bytes, fp32.
        rows: (N, F) raw benign rows.
    """
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(place)
        given, prepared, quantized = (folder / name for name in ("given.onnx", "prepared.onnx", "quantized.onnx"))
        given.write_bytes(model)
        logging.disable(logging.WARNING)  # it advises what is done here, on the root logger
        try:
            quant_pre_process(str(given), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(quantized),
                _Rows(rows),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=_IN_AUTOENCODER,
                nodes_to_exclude=_kept(onnx.load(prepared)),
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
            )
        finally:
            logging.disable(logging.NOTSET)
        return serialize(onnx.load(quantized))


def _kept(model: onnx.ModelProto) -> list[str]:
    """Nodes of the layers that stay in float."""
    weights = {f"autoencoder.{layer}.weight" for layer in kept_in_float(_decoder_layers(model))}
    return [node.name for node in model.graph.node if node.op_type == "Conv" and node.input[1] in weights]


def _decoder_layers(model: onnx.ModelProto) -> int:
    return sum(".decoder." in one.name and one.name.endswith(".weight") for one in model.graph.initializer)


class _Rows(CalibrationDataReader):  # type: ignore[misc]
    """Batches of calibration rows."""

    def __init__(self, rows: Float32) -> None:
        self._batches: Iterator[Float32] = (rows[at : at + _BATCH] for at in range(0, len(rows), _BATCH))

    def get_next(self) -> dict[str, Float32] | None:
        """The next batch; None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}
