"""The bundle manifest: what the exporter promises about a model and the agent checks before it scores.

A bundle is a zip with ``manifest.json``, the model files the manifest names, ``MODEL_CARD.md``, and ``check.npz``:
rows with the scores that the trained network gave them, so that any runtime can be checked anywhere.
Every model takes ``features`` (rows, F) float32, raw and in schema order, and returns ``score`` (rows,),
``errors`` (rows, F) and ``latent`` (rows, L); transforms and scaling are inside the graph.
"""

from __future__ import annotations

import itertools

import msgspec

from emtc_contract.errors import BundleError

FORMAT = 2
MANIFEST = "manifest.json"
MODEL_CARD = "MODEL_CARD.md"
CHECK_ROWS = "check.npz"
MAX_MANIFEST_BYTES = 4 * 1024 * 1024
MAX_MODEL_BYTES = 64 * 1024 * 1024  # of all models together
MAX_BUNDLE_BYTES = 80 * 1024 * 1024

INPUT = "features"
OUTPUTS = ("score", "errors", "latent")


class Artifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model file and the thresholds derived on exactly that file.

    Attributes:
        file: Member name in the zip.
        runtime: ``"onnx"`` or ``"tflite"``.
        precision: ``"fp32"`` or ``"int8"``.
        sha256: Hex digest of the file.
        size_bytes: Size of the file.
        threshold: The score that a set share of benign windows exceeds.
        calibration_scores: Ascending benign scores ...
        calibration_p: ... and the share of benign windows that score at least as high, descending.
    """

    file: str
    runtime: str
    precision: str
    sha256: str
    size_bytes: int
    threshold: float
    calibration_scores: tuple[float, ...]
    calibration_p: tuple[float, ...]


class UsualRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is usual for one feature in benign traffic: 1st, 50th and 99th percentile."""

    low: float
    median: float
    high: float


class SourceFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One training or calibration file."""

    name: str
    sha256: str
    rows: int
    role: str


class Provenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a model comes from."""

    files: tuple[SourceFile, ...]
    seed: int
    versions: dict[str, str]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``manifest.json`` of a bundle.

    Attributes:
        open_level: Evidence, in p-values of any of the models, that opens an incident.
        digests: SHA-256 in hex of every member that is neither this file nor a model.
    """

    format: int
    name: str
    version: int
    created: str
    schema_name: str
    schema_digest: str
    artifacts: tuple[Artifact, ...]
    open_level: float
    usual: dict[str, UsualRange]
    provenance: Provenance
    metrics: dict[str, float]
    digests: dict[str, str]


def decode_manifest(raw: bytes, where: str) -> Manifest:
    """Parse and check ``manifest.json``; raises BundleError that names ``where`` and the field."""
    if len(raw) > MAX_MANIFEST_BYTES:
        raise BundleError(f"{where}: {MANIFEST} is larger than {MAX_MANIFEST_BYTES} bytes")
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{where}: {MANIFEST} is not valid: {error}") from None
    if manifest.format != FORMAT:
        raise BundleError(f"{where}: bundle format {manifest.format}, this program reads {FORMAT}")
    for artifact in manifest.artifacts:
        _check_artifact(artifact, where)
    if not 0 < manifest.open_level < float("inf"):
        raise BundleError(f"{where}: open_level {manifest.open_level} is no amount of evidence")
    if sum(artifact.size_bytes for artifact in manifest.artifacts) > MAX_MODEL_BYTES:
        raise BundleError(f"{where}: models of more than {MAX_MODEL_BYTES} bytes")
    return manifest


def encode_manifest(manifest: Manifest) -> bytes:
    """Readable, stable JSON of a manifest."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=1)


def _check_artifact(artifact: Artifact, where: str) -> None:
    scores, p_values = artifact.calibration_scores, artifact.calibration_p
    if len(scores) < 2 or len(scores) != len(p_values):
        raise BundleError(f"{where}: {artifact.file}: calibration table has {len(scores)} and {len(p_values)} values")
    if any(a > b for a, b in itertools.pairwise(scores)):
        raise BundleError(f"{where}: {artifact.file}: calibration scores do not ascend")
    if not all(0.0 <= p <= 1.0 for p in p_values):
        raise BundleError(f"{where}: {artifact.file}: calibration p-values outside 0..1")
    if not 0 < artifact.size_bytes <= MAX_MODEL_BYTES:
        raise BundleError(f"{where}: {artifact.file}: absurd size {artifact.size_bytes}")
