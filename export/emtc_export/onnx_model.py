"""torch -> ONNX: one graph from raw features to score, any number of rows."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings

import onnx
import torch
from torch.export import Dim

from emtc_contract.bundle import INPUT, OUTPUTS
from emtc_trainer.model import Detector

OPSET = 20


def to_onnx(module: Detector, features: int) -> bytes:
    """ONNX bytes of a detector: ``features`` (rows, F) float32 -> ``score``, ``errors``, ``latent``.

    Args:
        module: The network, in evaluation mode.
        features: F.
    """
    example = torch.zeros(7, features)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # torch's exporter warns about its own internals
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            module,
            (example,),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=({0: Dim("rows")},),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch gave no ONNX program")
    return serialize(program.model_proto)


def serialize(model: onnx.ModelProto) -> bytes:
    """Checked bytes without metadata; the same model gives the same bytes."""
    _strip(model)
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _strip(model: onnx.ModelProto) -> None:
    """Remove what the exporter notes about its own run: stack traces and paths, most of a small file."""
    model.doc_string = ""
    del model.metadata_props[:]
    for part in (model.graph, *model.functions):
        del part.metadata_props[:]
        for node in part.node:
            del node.metadata_props[:]
            node.doc_string = ""
    for values in (model.graph.input, model.graph.output, model.graph.value_info, model.graph.initializer):
        for value in values:
            del value.metadata_props[:]
            value.doc_string = ""
