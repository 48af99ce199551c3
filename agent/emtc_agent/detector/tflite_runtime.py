"""tflite-runtime behind the ``Runtime`` protocol: the only one for 32-bit ARM, on Python 3.11 with numpy < 2."""

from __future__ import annotations

from tflite_runtime.interpreter import Interpreter

from emtc_agent.detector.tflite_model import TfliteModel


class TfliteRuntime(TfliteModel):
    """A TFLite model in tflite-runtime."""

    name = "tflite-runtime"
    interpreter = Interpreter
