"""Fitting a detector to benign rows."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from emtc_agent.packets import Bool, Float32, Float64, Int64
from emtc_contract.bundle import Provenance, UsualRange
from emtc_contract.schema import FeatureSchema
from emtc_trainer.autoencoder import PRESETS
from emtc_trainer.data import Dataset
from emtc_trainer.density import fit_density
from emtc_trainer.model import Detector
from emtc_trainer.operating import open_level
from emtc_trainer.optimizing import Losses, OptimizeConfig, Progress, optimize
from emtc_trainer.saved import TrainedModel

_LEAST_SPREAD = {"linear": 0.02, "log": 0.1}
_LEAST_ERROR = 0.05
_VALIDATES = 0.1
_RANGE_STEP = 0.1  # of a feature's range in training
_TO_SIGMA = 1.349  # interquartile range of a normal distribution
_QUANTILES = (0.99, 0.95)
_LEAST_BEYOND = 10
_MAX_CALIBRATION_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class FitConfig(OptimizeConfig):
    """How to train a detector.

    Attributes:
        preset: Size of the network.
        quantile: Benign share below the threshold; None takes the highest the calibration rows support.
        seed: Decides initial weights, order of rows and masks.
    """

    preset: str = "default"
    quantile: float | None = None
    seed: int = 7


def fit(
    train: Dataset, calibration: Dataset, config: FitConfig, progress: Progress, say: Callable[[str], None]
) -> TrainedModel:
    """Train on benign rows, calibrate on others.

    Args:
        train: Benign rows; the last tenth of each file's stops the training.
        calibration: Benign rows of other files.
        config: How to train.
        progress: Called after each epoch with its number, training and validation loss.
        say: Takes notices.
    """
    torch.manual_seed(config.seed)
    torch.use_deterministic_algorithms(True)
    validates = last_part(train, _VALIDATES)
    module = Detector(train.schema, PRESETS[config.preset])
    rows = torch.from_numpy(train.features)
    set_scaling(module, train.schema, rows)
    _arrange(module, rows)
    history = _train(module, rows, validates, config, progress)
    limits = calibrate(module, calibration, config, say)
    return TrainedModel(
        schema=train.schema,
        module=module,
        preset=config.preset,
        quantile=limits.quantile,
        threshold=limits.threshold,
        open_level=limits.open_level,
        calibration=limits.rows,
        usual=usual(train),
        provenance=Provenance(
            files=(*train.files, *calibration.files), seed=config.seed, versions=_versions("torch", "numpy")
        ),
        losses=tuple(history),
        metrics={
            "epochs": float(len(history)),
            "validation_loss": min(validation for _, validation in history),
            "train_rows": float(len(train)),
            "calibration_rows": float(len(calibration)),
        },
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """What benign rows that were not trained on make of a network.

    Attributes:
        quantile: Benign share below the threshold.
        threshold: Score that separates.
        open_level: Evidence that opens an incident.
        rows: (R, F) rows to derive thresholds from, for each exported form anew.
    """

    quantile: float
    threshold: float
    open_level: float
    rows: Float32


def calibrate(module: Detector, calibration: Dataset, config: FitConfig, say: Callable[[str], None]) -> Limits:
    """Thresholds of a network, from benign rows."""
    quantile = config.quantile or _supported_quantile(len(calibration), say)
    scores = score(module, calibration.features)
    kept = np.random.default_rng(config.seed).permutation(len(calibration))[:_MAX_CALIBRATION_ROWS]
    return Limits(
        quantile=quantile,
        threshold=float(np.quantile(scores, quantile, method="higher")),
        open_level=open_level(calibration, scores),
        rows=calibration.features[np.sort(kept)],
    )


def score(module: Detector, features: Float32 | Float64) -> Float64:
    """(N,) scores of raw rows, in the precision of the module, which the rows must have."""
    with torch.no_grad():
        pieces = [module(torch.from_numpy(features[at : at + 4096]))[0] for at in range(0, len(features), 4096)]
    return torch.cat(pieces).numpy().astype(np.float64)


def last_part(data: Dataset, share: float) -> Bool:
    """(N,) the last rows of each file by time."""
    chosen = np.zeros(len(data), bool)
    for number in np.unique(data.file):
        mine = np.flatnonzero(data.file == number)
        in_time = mine[np.argsort(data.first_us[mine], kind="stable")]
        chosen[in_time[int((1 - share) * len(mine)) :]] = True
    return chosen


def set_scaling(module: Detector, schema: FeatureSchema, rows: torch.Tensor) -> None:
    """Location, scale and range of each feature, from raw benign rows."""
    values = module.transform(rows).numpy()
    low, center, high = np.percentile(values, (25, 50, 75), axis=0)
    least = np.array([_LEAST_SPREAD[feature.scale] for feature in schema.features])
    spread = np.maximum(np.maximum((high - low) / _TO_SIGMA, values.std(axis=0)), least)
    smallest, largest = values.min(axis=0), values.max(axis=0)
    width = np.maximum(_RANGE_STEP * (largest - smallest), least)
    settings = {"center": center, "spread": spread, "low": smallest, "high": largest, "width": width}
    for name, value in settings.items():
        getattr(module, name).copy_(torch.from_numpy(value))


def _arrange(module: Detector, rows: torch.Tensor) -> None:
    """The order in which the network sees features; it is trained in that order, which must stay."""
    order = _by_correlation(module.transform(rows).numpy())
    module.arrange.copy_(torch.eye(len(order))[:, torch.from_numpy(order)])


def _by_correlation(values: Float64) -> Int64:
    """An order in which each feature follows the one it correlates with most (greedy chain)."""
    centred = values - values.mean(axis=0)
    size = np.sqrt((centred**2).sum(axis=0))
    likeness = np.abs(centred.T @ centred) / np.maximum(np.outer(size, size), 1e-12)
    order = [0]
    left = set(range(1, len(size)))
    while left:
        candidates = sorted(left)
        best = candidates[int(np.argmax(likeness[order[-1], candidates]))]
        order.append(best)
        left.remove(best)
    return np.array(order)


def _train(
    module: Detector, rows: torch.Tensor, validates: Bool, config: FitConfig, progress: Progress
) -> list[Losses]:
    """Train with early stopping, then fit what depends on the trained network; returns the losses."""
    shown = module.encode(module.transform(rows))
    learn, check = shown[torch.from_numpy(~validates)], shown[torch.from_numpy(validates)]
    history = optimize(module.autoencoder, learn, check, config, progress)
    module.eval()
    latent = set_usual_error(module, shown)
    fit_density(module.density, latent, config.seed)
    return history


def set_usual_error(module: Detector, shown: torch.Tensor) -> Float64:
    """What errors are told in multiples of, from (N, F) scaled benign rows; returns their (N, L) latent vectors."""
    with torch.no_grad():
        pieces = [module.autoencoder(piece) for piece in shown.split(4096)]  # type: ignore[no-untyped-call]
    rebuilt, latent = (torch.cat(parts) for parts in zip(*pieces, strict=True))
    mean = torch.mean((shown - rebuilt) ** 2, dim=0) @ module.arrange.T
    module.usual_error.copy_(torch.clamp(mean, min=_LEAST_ERROR))
    return latent.numpy().astype(np.float64)


def _supported_quantile(rows: int, say: Callable[[str], None]) -> float:
    """The highest quantile that at least 10 calibration rows lie beyond."""
    for quantile in _QUANTILES:
        if rows * (1 - quantile) >= _LEAST_BEYOND:
            break
    say(f"threshold at the {quantile:.1%} benign quantile, as {rows} calibration rows support")
    return quantile


def usual(train: Dataset) -> dict[str, UsualRange]:
    """P1, P50 and P99 of each feature."""
    values = np.percentile(train.features.astype(np.float64), (1, 50, 99), axis=0)
    return {
        column: UsualRange(*(round(float(value), 6) for value in values[:, number]))
        for number, column in enumerate(train.schema.columns)
    }


def _versions(*packages: str) -> dict[str, str]:
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}
