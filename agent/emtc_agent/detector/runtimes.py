"""Inference runtimes: one file each behind one protocol, chosen at start."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from emtc_agent.detector.bundle import Bundle
from emtc_agent.packets import Float32
from emtc_contract.bundle import Artifact
from emtc_contract.errors import BundleError, RuntimeMissingError


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model says about N rows.

    Attributes:
        score: (N,) float32.
        errors: (N, F) float32, the part of each feature.
        latent: (N, L) float32.
    """

    score: Float32
    errors: Float32
    latent: Float32


class Runtime(Protocol):
    """A loaded model.

    Attributes:
        name: Name of the runtime.
        artifact: What it runs.
    """

    name: str
    artifact: Artifact

    def run(self, features: Float32) -> Scores:
        """Score (N, F) raw features; N may be 0."""
        ...


def open_runtime(bundle: Bundle) -> Runtime:
    """Load the bundle's model into an installed runtime and warm it up.

    Raises:
        RuntimeMissingError: No runtime is installed.
        BundleError: The bundle has no model for it, or a model that cannot be loaded.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise RuntimeMissingError("no inference runtime is installed: pip install 'emtc-guard[agent]'")
    from emtc_agent.detector.onnx_runtime import OnnxRuntime

    artifact = bundle.artifact("onnx")
    if artifact is None:
        raise BundleError(f"{bundle.name}: holds no ONNX model")
    runtime = OnnxRuntime(bundle.models[artifact.file], artifact, len(bundle.schema.features))
    runtime.run(np.zeros((1, len(bundle.schema.features)), np.float32))
    return runtime
