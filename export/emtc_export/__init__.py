"""The exporter: a trained model becomes a bundle that provably gives the same verdicts.

torch -> ONNX (``onnx_model``) -> parity gates (``parity``) -> threshold and calibration on the exported model
(``calibration``) -> bundle (``pack``).
"""
