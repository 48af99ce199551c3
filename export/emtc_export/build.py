"""From a trained model to a bundle."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from emtc_agent.detector import Runtime, load_bundle, open_runtime
from emtc_agent.detector.onnx_runtime import OnnxRuntime
from emtc_contract.bundle import FORMAT, MANIFEST, MODEL_CARD, Artifact, Manifest, encode_manifest
from emtc_contract.errors import BundleError
from emtc_export import calibration, parity
from emtc_export.card import model_card
from emtc_export.onnx_model import to_onnx
from emtc_export.pack import write_bundle
from emtc_trainer.saved import TrainedModel

_ONNX = "model.onnx"
_PACKAGES = ("onnx", "onnxruntime")


@dataclass(frozen=True, slots=True)
class Label:
    """How a bundle is called.

    Attributes:
        name: Of the model.
        version: Ascending number.
        created: Date, ISO 8601.
    """

    name: str
    version: int
    created: str


def build(model: TrainedModel, output: Path, label: Label, say: Callable[[str], None]) -> Manifest:
    """Export, prove, and write a bundle; raises BundleError if a gate does not hold, and then writes nothing."""
    say("exporting to ONNX")
    content = to_onnx(model.module, len(model.schema.features))
    draft = _artifact(content)
    runtime = OnnxRuntime(content, draft, len(model.schema.features))
    artifact = _calibrated(draft, runtime, model)
    measured = parity.check(model.module, runtime, model.calibration, artifact.threshold)
    say(
        f"{_ONNX}: {len(content)} bytes; largest score difference to torch {measured.score_drift:.1e}, "
        f"{measured.flips} of {measured.rows} verdicts differ; threshold {artifact.threshold:.4f}"
    )
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    manifest = Manifest(
        format=FORMAT,
        name=label.name,
        version=label.version,
        created=label.created,
        schema_name=model.schema.name,
        schema_digest=model.schema.digest,
        artifacts=(artifact,),
        usual=model.usual,
        provenance=msgspec.structs.replace(model.provenance, versions=model.provenance.versions | versions),
        metrics=model.metrics | {"score_drift": measured.score_drift},
    )
    card = model_card(manifest, model.schema, model.preset, model.quantile, measured)
    write_bundle(output, {MANIFEST: encode_manifest(manifest), _ONNX: content, MODEL_CARD: card.encode()})
    open_runtime(load_bundle(output))  # what was written is what an agent accepts
    return manifest


def _artifact(content: bytes) -> Artifact:
    return Artifact(
        file=_ONNX,
        runtime="onnx",
        precision="fp32",
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        threshold=0.0,
        calibration_scores=(),
        calibration_p=(),
    )


def _calibrated(draft: Artifact, runtime: Runtime, model: TrainedModel) -> Artifact:
    scores = runtime.run(model.calibration).score.astype(np.float64)
    values, p_values = calibration.table(scores)
    if len(values) < 2:
        raise BundleError(f"{len(scores)} calibration rows with {len(values)} different scores: too few")
    limit = calibration.threshold(scores, model.quantile)
    return msgspec.structs.replace(draft, threshold=limit, calibration_scores=values, calibration_p=p_values)
