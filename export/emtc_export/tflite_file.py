"""Rewriting a TFLite file: any number of rows, the contract's names, and nothing else in it.

The converter gives a graph for one batch size only. A size that occurs nowhere else marks every place that depends
on it, and both interpreters resize what is marked -1. Layout: schema.fbs of TensorFlow Lite, by its object API.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from emtc_contract.bundle import INPUT, OUTPUTS

_IDENTIFIER = b"TFL3"
_SHAPED_BY_INPUT = (schema.BuiltinOperator.RESHAPE, schema.BuiltinOperator.SLICE)


def generalize(raw: bytes, batch: int) -> bytes:
    """The same graph for any number of rows, with names of the contract and without metadata.

    Args:
        raw: A TFLite file for ``batch`` rows whose outputs are those of the contract, in order.
        batch: A size that is no other dimension of the graph.
    """
    model = schema.ModelT.InitFromPackedBuf(bytearray(raw), 0)
    _pull_in_buffers(model, raw)
    (graph,) = model.subgraphs
    for tensor in graph.tensors:
        tensor.name = None
        if not _content(model, tensor):
            _free_batch(tensor, batch)
    for operator in graph.operators:
        _free_shape(model, graph, operator, batch)
    graph.tensors[graph.inputs[0]].name = INPUT
    for index, name in zip(graph.outputs, OUTPUTS, strict=True):
        graph.tensors[index].name = name
    _strip(model, graph)
    builder = flatbuffers.Builder(len(raw))
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _pull_in_buffers(model: Any, raw: bytes) -> None:
    """Large files keep weights behind the flatbuffer; it packs only what it holds."""
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(raw[buffer.offset : buffer.offset + buffer.size], np.uint8)
        buffer.offset = buffer.size = 0


def _content(model: Any, tensor: Any) -> bytes:
    """The bytes of a constant; empty for what is computed."""
    data = model.buffers[tensor.buffer].data if tensor.buffer else None
    return b"" if data is None else bytes(data)


def _free_batch(tensor: Any, batch: int) -> None:
    shape = np.array(tensor.shape if tensor.shape is not None else [], np.int32)
    if batch in shape:
        tensor.shapeSignature = np.where(shape == batch, -1, shape).astype(np.int32)
        tensor.shape = np.where(shape == batch, 1, shape).astype(np.int32)


def _free_shape(model: Any, graph: Any, operator: Any, batch: int) -> None:
    """Shapes that operators take as constants: -1 stands for "whatever is left"."""
    code = model.operatorCodes[operator.opcodeIndex]
    if max(code.builtinCode, code.deprecatedBuiltinCode) not in _SHAPED_BY_INPUT:
        return
    for index in operator.inputs[1:]:
        tensor = graph.tensors[index]
        values = np.frombuffer(_content(model, tensor), np.int32)
        freed = np.where(values == batch, -1, values).astype(np.int32)
        model.buffers[tensor.buffer].data = np.frombuffer(freed.tobytes(), np.uint8)
    new_shape = getattr(operator.builtinOptions, "newShape", None)
    if new_shape is not None:
        operator.builtinOptions.newShape = np.where(new_shape == batch, -1, new_shape).astype(np.int32)


def _strip(model: Any, graph: Any) -> None:
    """Remove what the converter notes about its own run."""
    for entry in model.metadata or ():
        model.buffers[entry.buffer].data = None
    model.metadata = model.metadataBuffer = model.signatureDefs = model.description = graph.name = None
