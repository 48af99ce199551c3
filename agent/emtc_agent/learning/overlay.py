"""The overlay: what was learned on site, in a file beside the bundle.

Two lines of JSON: the overlay, and the HMAC of exactly those bytes (without the line end) with the device's key. It
belongs to one model of one version of a bundle; another bundle makes it void.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import msgspec
import numpy as np

from emtc_agent.detector import Bundle
from emtc_agent.detector.calibration import Recalibration
from emtc_agent.durable import write_durably
from emtc_agent.learning.device_key import DeviceKey
from emtc_agent.learning.recalibrating import LEAST_WEIGHT
from emtc_agent.learning.trial import Figures
from emtc_contract.bundle import Artifact
from emtc_contract.errors import BundleError, InputError

FORMAT = 1
SUFFIX = ".overlay"
MAX_OVERLAY_BYTES = 256 * 1024
_MOST_VALUES = 4_096
_PURPOSE = "emtc-guard overlay"
_ROUNDING = 1e-6


class Overlay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was learned.

    Attributes:
        format: Of this file.
        bundle, bundle_version, model_sha256: The model that it belongs to.
        schema_digest: Of the features.
        learned: When, RFC 3339.
        seconds: How long.
        windows: Windows in the sample.
        endpoints: Endpoints they are of.
        trusted: Whether an operator vouched for the traffic.
        threshold: Score that alerts tell as the usual limit.
        scores, shares: Calibration table.
        weights: Factors of the errors that are not 1, by feature.
        before, after: Figures on the latest quarter of the windows, which nothing was fitted on.
    """

    format: int
    bundle: str
    bundle_version: int
    model_sha256: str
    schema_digest: str
    learned: str
    seconds: float
    windows: int
    endpoints: int
    trusted: bool
    threshold: float
    scores: tuple[float, ...]
    shares: tuple[float, ...]
    weights: dict[str, float]
    before: Figures
    after: Figures

    def recalibration(self, columns: tuple[str, ...]) -> Recalibration:
        """As the scorer takes it, for a schema's columns."""
        weights = np.array([self.weights.get(column, 1.0) for column in columns], np.float32)
        return Recalibration(weights, self.threshold, self.scores, self.shares)


def save_overlay(path: Path, overlay: Overlay, key: DeviceKey) -> None:
    """Write and sign an overlay; raises InputError if it cannot be written."""
    body = msgspec.json.encode(overlay)
    seal = msgspec.json.encode({"hmac_sha256": key.mac(body, _PURPOSE).hex()})
    try:
        write_durably(path, body + b"\n" + seal + b"\n")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None


def load_overlay(path: Path, key: DeviceKey, bundle: Bundle, artifact: Artifact) -> Overlay:
    """Read and check an overlay.

    Args:
        path: The file.
        key: The device's.
        bundle: In use.
        artifact: Its model in use.

    Raises:
        BundleError: Another device's or changed, of another bundle or model, or absurd; says which.
        InputError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_OVERLAY_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    if len(raw) > MAX_OVERLAY_BYTES:
        raise BundleError(f"{path}: larger than {MAX_OVERLAY_BYTES} bytes")
    overlay = _decoded(_body(raw, key, path), path)
    _require_fitting(overlay, bundle, artifact, path)
    _require_sane(overlay, bundle.schema.columns, path)
    return overlay


def _body(raw: bytes, key: DeviceKey, path: Path) -> bytes:
    """The overlay's bytes, if this device signed them."""
    body, _, seal = raw.partition(b"\n")
    try:
        told = bytes.fromhex(msgspec.json.decode(seal, type=dict[str, str])["hmac_sha256"])
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, KeyError):
        raise BundleError(f"{path}: not an overlay: its second line is no signature") from None
    if not key.vouches(told, body, _PURPOSE):
        raise BundleError(f"{path}: not learned by the device of {key.path}, or changed since")
    return body


def _decoded(body: bytes, path: Path) -> Overlay:
    try:
        overlay = msgspec.json.decode(body, type=Overlay)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{path}: not an overlay: {error}") from None
    if overlay.format != FORMAT:
        raise BundleError(f"{path}: overlay format {overlay.format}, this program reads {FORMAT}")
    return overlay


def _require_fitting(overlay: Overlay, bundle: Bundle, artifact: Artifact, path: Path) -> None:
    manifest = bundle.manifest
    if (overlay.bundle, overlay.bundle_version) != (manifest.name, manifest.version):
        raise BundleError(
            f"{path}: learned for {overlay.bundle} version {overlay.bundle_version}, in use is {manifest.name} "
            f"version {manifest.version}: learn again"
        )
    if overlay.model_sha256 != artifact.sha256:
        raise BundleError(f"{path}: learned for another model of {manifest.name} than {artifact.file}: learn again")
    if overlay.schema_digest != manifest.schema_digest:
        raise BundleError(f"{path}: learned for other features than those of {manifest.name}: learn again")


def _require_sane(overlay: Overlay, columns: tuple[str, ...], path: Path) -> None:
    scores, shares = overlay.scores, overlay.shares
    unknown = set(overlay.weights) - set(columns)
    refusals = {
        f"{len(scores)} scores and {len(shares)} shares": not 2 <= len(scores) == len(shares) <= _MOST_VALUES,
        "scores that are not finite or do not ascend": not _ascend(scores),
        "shares outside 0..1 or that do not fall": not (
            _ascend(shares[::-1]) and all(0 < one <= 1 for one in shares)
        ),
        f"a threshold of {overlay.threshold:g}": not 0 < overlay.threshold < math.inf,
        f"a weight of {min(unknown, default='')!r}, which is no feature": bool(unknown),
        f"weights outside {LEAST_WEIGHT:g}..1": not all(
            LEAST_WEIGHT - _ROUNDING <= one <= 1 for one in overlay.weights.values()
        ),
    }
    for what, refused in refusals.items():
        if refused:
            raise BundleError(f"{path}: absurd: {what}")


def _ascend(values: tuple[float, ...]) -> bool:
    return all(math.isfinite(one) for one in values) and all(a <= b for a, b in itertools.pairwise(values))
