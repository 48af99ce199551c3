"""LiteRT (ai-edge-litert) behind the ``Runtime`` protocol."""

from __future__ import annotations

from ai_edge_litert.interpreter import Interpreter

from emtc_agent.detector.tflite_model import TfliteModel


class LiteRt(TfliteModel):
    """A TFLite model in LiteRT."""

    name = "litert"
    interpreter = Interpreter
