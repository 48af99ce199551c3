"""From a trained model to a bundle."""

from __future__ import annotations

import copy
import hashlib
import importlib.metadata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from emtc_agent.detector import RUNTIMES, Runtime, calibration, load_bundle, open_runtime
from emtc_contract.bundle import CHECK_ROWS, FORMAT, MANIFEST, MODEL_CARD, Artifact, Manifest, encode_manifest
from emtc_contract.errors import BundleError
from emtc_export import check_rows, gates, tflite_model
from emtc_export.card import model_card
from emtc_export.check_rows import CheckRows
from emtc_export.gates import Gate
from emtc_export.onnx_int8 import to_int8
from emtc_export.onnx_model import to_onnx
from emtc_export.pack import write_bundle
from emtc_export.rewrite import exportable
from emtc_trainer.saved import TrainedModel
from emtc_trainer.training import score

_CHECKED = 1_024
_PACKAGES = ("onnx", "onnxruntime")
_TFLITE_PACKAGES = ("litert-torch", "ai-edge-quantizer", "ai-edge-litert")
Say = Callable[[str], None]


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


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One form of a model.

    Attributes:
        name: Member of the bundle.
        form: ``"onnx"`` or ``"tflite"``.
        precision: ``"fp32"`` or ``"int8"``.
        content: Bytes.
    """

    name: str
    form: str
    precision: str
    content: bytes


def build(model: TrainedModel, output: Path, label: Label, say: Say, *, tflite: bool) -> Manifest:
    """Export, prove, and write a bundle.

    Args:
        model: What to export.
        output: The bundle.
        label: How to call it.
        say: Takes progress.
        tflite: Whether to make TFLite files beside the ONNX files; takes the converter of ``export-tflite``.

    Raises:
        BundleError: A gate does not hold, or the converter failed; nothing is written then.
    """
    check = rows_to_check(model)
    exported = list(export_files(model, say, tflite=tflite))
    measured: list[Gate] = []
    artifacts = []
    for file in exported:
        artifact, found = _proved(file, model, check)
        say(_summary(artifact, found))
        gates.require(found)
        artifacts.append(artifact)
        measured += found
    manifest = _manifest(model, label, tuple(artifacts), tflite=tflite)
    others = {
        MODEL_CARD: model_card(manifest, model.schema, model.preset, model.quantile, measured).encode(),
        CHECK_ROWS: check.encode(),
    }
    manifest = msgspec.structs.replace(manifest, digests={name: _sha256(raw) for name, raw in others.items()})
    models = {file.name: file.content for file in exported}
    write_bundle(output, {MANIFEST: encode_manifest(manifest)} | models | others)
    open_runtime(load_bundle(output))  # what was written is what an agent accepts
    return manifest


def rows_to_check(model: TrainedModel) -> CheckRows:
    """Calibration rows, attacks made of them and impossible rows, with the trained network's scores."""
    every = np.linspace(0, len(model.calibration), min(_CHECKED, len(model.calibration)), endpoint=False)
    rows, kind = check_rows.make(model.calibration[every.astype(int)], model.provenance.seed)
    exact = copy.deepcopy(model.module).double()
    return CheckRows(rows, kind, score(exact, rows.astype(np.float64)), model.threshold)


def export_files(model: TrainedModel, say: Say, *, tflite: bool) -> Iterator[ExportedFile]:
    """Every form of a model, not yet proved."""
    say("exporting to ONNX")
    onnx = to_onnx(exportable(model.module), len(model.schema.features))
    yield ExportedFile("model.onnx", "onnx", "fp32", onnx)
    say("quantizing the ONNX model")
    yield ExportedFile("model.int8.onnx", "onnx", "int8", to_int8(onnx, model.calibration))
    if tflite:
        say("converting to TFLite and quantizing (10 s or so)")
        fp32, int8 = tflite_model.to_tflite(model)
        yield ExportedFile(tflite_model.FP32, "tflite", "fp32", fp32)
        yield ExportedFile(tflite_model.INT8, "tflite", "int8", int8)


def _proved(file: ExportedFile, model: TrainedModel, check: CheckRows) -> tuple[Artifact, list[Gate]]:
    """The file with its own threshold and calibration, and its gates in every runtime installed here."""
    draft = Artifact(
        file=file.name,
        runtime=file.form,
        precision=file.precision,
        sha256=_sha256(file.content),
        size_bytes=len(file.content),
        threshold=0.0,
        calibration_scores=(),
        calibration_p=(),
    )
    columns = len(model.schema.features)
    kinds = [kind for kind in RUNTIMES if kind.installed and kind.form == file.form]
    artifact = _calibrated(draft, kinds[0].load(file.content, draft, columns), model)
    return artifact, [
        gate for kind in kinds for gate in gates.measure(kind.load(file.content, artifact, columns), check)
    ]


def _calibrated(draft: Artifact, runtime: Runtime, model: TrainedModel) -> Artifact:
    scores = runtime.run(model.calibration).score.astype(np.float64)
    values, p_values = calibration.table(scores)
    if len(values) < 2:
        raise BundleError(f"{len(scores)} calibration rows with {len(values)} different scores: too few")
    limit = float(np.quantile(scores, model.quantile, method="higher"))
    return msgspec.structs.replace(draft, threshold=limit, calibration_scores=values, calibration_p=p_values)


def _manifest(model: TrainedModel, label: Label, artifacts: tuple[Artifact, ...], *, tflite: bool) -> Manifest:
    packages = _PACKAGES + (_TFLITE_PACKAGES if tflite else ())
    versions = {name: importlib.metadata.version(name) for name in packages}
    return Manifest(
        format=FORMAT,
        name=label.name,
        version=label.version,
        created=label.created,
        schema_name=model.schema.name,
        schema_digest=model.schema.digest,
        artifacts=artifacts,
        open_level=model.open_level,
        usual=model.usual,
        provenance=msgspec.structs.replace(model.provenance, versions=model.provenance.versions | versions),
        metrics=model.metrics,
        digests={},
    )


def _summary(artifact: Artifact, found: list[Gate]) -> str:
    figures = ", ".join(f"{gate.name} {gate.value:.2g}" for gate in found if gate.runtime == found[0].runtime)
    return f"{artifact.file}: {artifact.size_bytes} bytes, threshold {artifact.threshold:.4f}; {figures}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
