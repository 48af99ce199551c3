"""Inference runtimes: one file each behind one protocol, chosen at start."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
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


@dataclass(frozen=True, slots=True)
class RuntimeKind:
    """A runtime this agent can use.

    Attributes:
        name: What settings and messages call it.
        package: What must be importable for it.
        form: The ``runtime`` of the artifacts it runs.
        module: Where its class is ...
        attribute: ... and what it is called. It takes model bytes, artifact, columns and threads.
    """

    name: str
    package: str
    form: str
    module: str
    attribute: str

    @property
    def installed(self) -> bool:
        """Whether its package is there; does not import it."""
        return importlib.util.find_spec(self.package) is not None

    def load(self, model: bytes, artifact: Artifact, columns: int, threads: int = 1) -> Runtime:
        """Load a model and score one row, so that the first real one does not wait; raises BundleError."""
        module = importlib.import_module(f"emtc_agent.detector.{self.module}")
        make: Callable[[bytes, Artifact, int, int], Runtime] = getattr(module, self.attribute)
        runtime = make(model, artifact, columns, threads)
        runtime.run(np.zeros((1, columns), np.float32))
        return runtime


# In the order in which the agent prefers them: docs/decisions/014-runtimes.md
RUNTIMES = (
    RuntimeKind("litert", "ai_edge_litert", "tflite", "litert_runtime", "LiteRt"),
    RuntimeKind("onnxruntime", "onnxruntime", "onnx", "onnx_runtime", "OnnxRuntime"),
    RuntimeKind("tflite-runtime", "tflite_runtime", "tflite", "tflite_runtime", "TfliteRuntime"),
)
_EXTRAS = "pip install 'emtc-guard[litert]' or 'emtc-guard[agent]'"


def open_runtime(bundle: Bundle, name: str | None = None, precision: str | None = None, threads: int = 1) -> Runtime:
    """Load the bundle's model into an installed runtime and warm it up.

    Args:
        bundle: Holds the models.
        name: Of the runtime; None takes the first installed one that the bundle has a model for.
        precision: ``"fp32"`` or ``"int8"``; None takes fp32 where there is one.
        threads: Threads that score.

    Raises:
        RuntimeMissingError: No runtime, or not the wanted one, is installed.
        BundleError: The bundle has no model for it, or a model that cannot be loaded.
    """
    usable = _usable(name)
    for kind in usable:
        artifact = bundle.artifact(kind.form, precision)
        if artifact is not None:
            return kind.load(bundle.models[artifact.file], artifact, len(bundle.schema.features), threads)
    wanted = " or ".join(kind.name for kind in usable)
    raise BundleError(f"{bundle.name}: holds no {precision + ' ' if precision else ''}model for {wanted}")


def _usable(name: str | None) -> list[RuntimeKind]:
    """The wanted runtime, or all installed ones."""
    usable = [kind for kind in RUNTIMES if kind.installed and name in (None, kind.name)]
    if usable:
        return usable
    if name is None:
        raise RuntimeMissingError(f"no inference runtime is installed: {_EXTRAS}")
    known = [kind.name for kind in RUNTIMES]
    if name not in known:
        raise RuntimeMissingError(f"no runtime is called {name!r}; there are {', '.join(known)}")
    raise RuntimeMissingError(f"the runtime {name} is not installed")
