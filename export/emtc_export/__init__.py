"""The exporter: torch -> ONNX, parity gates, bundle."""
