"""A trained model and its file: plain tensors and JSON, loaded without executing anything from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch

from emtc_agent.feature_files import Replacement
from emtc_agent.packets import Float32
from emtc_contract.bundle import Provenance, UsualRange
from emtc_contract.errors import BundleError, EmtcError, InputError
from emtc_contract.schema import FeatureSchema
from emtc_contract.schemas import get_schema
from emtc_trainer.autoencoder import PRESETS
from emtc_trainer.model import Detector
from emtc_trainer.optimizing import Losses


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """What ``fit`` makes and the exporter takes.

    Attributes:
        schema: What the model's rows mean.
        module: The network, in evaluation mode.
        preset: Name of its size.
        quantile: Share of benign rows below the threshold.
        threshold: Score that separates.
        open_level: Evidence that opens an incident (``emtc_agent.incidents``).
        calibration: (R, F) raw benign rows on which thresholds are derived, for each exported form anew.
        usual: P1, P50, P99 of each feature in benign training rows.
        provenance: Files, seed, versions.
        losses: Of each epoch.
        metrics: Figures of the training.
    """

    schema: FeatureSchema
    module: Detector
    preset: str
    quantile: float
    threshold: float
    open_level: float
    calibration: Float32
    usual: dict[str, UsualRange]
    provenance: Provenance
    losses: tuple[Losses, ...]
    metrics: dict[str, float]


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    schema_name: str
    schema_digest: str
    preset: str
    quantile: float
    threshold: float
    open_level: float
    usual: dict[str, UsualRange]
    provenance: Provenance
    losses: tuple[Losses, ...]
    metrics: dict[str, float]


_FORMAT = 2
"""Files of another format have other fields, and fail to decode."""


def save_model(path: Path, model: TrainedModel) -> None:
    """Write a model; the file appears only when complete."""
    header = _Header(
        format=_FORMAT,
        schema_name=model.schema.name,
        schema_digest=model.schema.digest,
        preset=model.preset,
        quantile=model.quantile,
        threshold=model.threshold,
        open_level=model.open_level,
        usual=model.usual,
        provenance=model.provenance,
        losses=model.losses,
        metrics=model.metrics,
    )
    content = {
        "header": msgspec.json.encode(header).decode(),
        "state": model.module.state_dict(),
        "calibration": torch.from_numpy(model.calibration),
    }
    replacement = Replacement(path)
    try:
        torch.save(content, replacement.path)
    except (OSError, RuntimeError) as error:
        replacement.finish(complete=False)
        raise InputError(f"{path}: {error}") from None
    replacement.finish(complete=True)


def load_model(path: Path) -> TrainedModel:
    """Read a model.

    Raises:
        BundleError: Not a model file, or a broken one.
        SchemaError: A model of another feature schema.
    """
    try:
        content = torch.load(path, weights_only=True)
        header = msgspec.json.decode(content["header"], type=_Header)
        schema = get_schema(header.schema_name)
        module = Detector(schema, PRESETS[header.preset])
        module.load_state_dict(content["state"])
        calibration = content["calibration"].numpy()
    except EmtcError:
        raise
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror or error}") from None
    except Exception as error:  # torch raises whatever unpickling and unzipping raise
        raise BundleError(f"{path}: not a model of this trainer: {error}") from None
    schema.require_same(header.schema_name, header.schema_digest, str(path))
    return TrainedModel(
        schema=schema,
        module=module.eval(),
        preset=header.preset,
        quantile=header.quantile,
        threshold=header.threshold,
        open_level=header.open_level,
        calibration=np.asarray(calibration, np.float32),
        usual=header.usual,
        provenance=header.provenance,
        losses=header.losses,
        metrics=header.metrics,
    )
