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
from emtc_trainer.model import CLIP, Detector
from emtc_trainer.optimizing import OptimizeConfig, Progress, optimize
from emtc_trainer.saved import TrainedModel

_LEAST_SPREAD = {"linear": 0.02, "log": 0.1}
_LEAST_ERROR = 0.05
_TO_SIGMA = 1.349  # interquartile range of a normal distribution
_QUANTILES = (0.999, 0.995, 0.99, 0.95)
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
        train: Benign rows; the last file (or the last fifth of a single one) validates.
        calibration: Benign rows of other files.
        config: How to train.
        progress: Called after each epoch with its number, training and validation loss.
        say: Takes notices.
    """
    torch.manual_seed(config.seed)
    torch.use_deterministic_algorithms(True)
    validates = _validation(train)
    module = Detector(train.schema, PRESETS[config.preset])
    rows = torch.from_numpy(train.features)
    _set_scaling(module, train.schema, rows[torch.from_numpy(~validates)])
    history = _train(module, rows, validates, config, progress)
    _set_usual_error(module, rows)
    quantile = config.quantile or _supported_quantile(len(calibration), say)
    scores = score(module, calibration.features)
    rng = np.random.default_rng(config.seed)
    kept = rng.permutation(len(calibration))[:_MAX_CALIBRATION_ROWS]
    return TrainedModel(
        schema=train.schema,
        module=module,
        preset=config.preset,
        quantile=quantile,
        threshold=float(np.quantile(scores, quantile, method="higher")),
        calibration=calibration.features[np.sort(kept)],
        usual=_usual(train),
        provenance=Provenance(
            files=(*train.files, *calibration.files), seed=config.seed, versions=_versions("torch", "numpy")
        ),
        metrics={
            "epochs": float(len(history)),
            "validation_loss": min(history),
            "train_rows": float(len(train)),
            "calibration_rows": float(len(calibration)),
        },
    )


def score(module: Detector, features: Float32) -> Float64:
    """(N,) scores of raw rows."""
    with torch.no_grad():
        pieces = [module(torch.from_numpy(features[at : at + 4096]))[0] for at in range(0, len(features), 4096)]
    return torch.cat(pieces).numpy().astype(np.float64)


def _validation(train: Dataset) -> Bool:
    """(N,) rows that validate: whole files, or the end of the only one."""
    last = int(train.file.max())
    if last > 0:
        return train.file == last
    validates = np.zeros(len(train), bool)
    validates[np.argsort(train.first_us, kind="stable")[int(0.8 * len(train)) :]] = True
    return validates


def _set_scaling(module: Detector, schema: FeatureSchema, rows: torch.Tensor) -> None:
    values = module.transform(rows).numpy()
    low, center, high = np.percentile(values, (25, 50, 75), axis=0)
    least = np.array([_LEAST_SPREAD[feature.scale] for feature in schema.features])
    spread = np.maximum(np.maximum((high - low) / _TO_SIGMA, values.std(axis=0)), least)
    order = _by_correlation(values)
    for name, value in (("center", center), ("spread", spread)):
        getattr(module, name).copy_(torch.from_numpy(value))
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
) -> list[float]:
    """Train with early stopping; returns the validation losses."""
    scaled = torch.clamp(module.scale(rows), -CLIP, CLIP) @ module.arrange
    learn, check = scaled[torch.from_numpy(~validates)], scaled[torch.from_numpy(validates)]
    history = optimize(module.autoencoder, learn, check, config, progress)
    module.eval()
    return history


def _set_usual_error(module: Detector, rows: torch.Tensor) -> None:
    with torch.no_grad():
        clipped = torch.clamp(module.scale(rows), -CLIP, CLIP)
        rebuilt, _ = module.autoencoder(clipped @ module.arrange)
        usual = torch.mean((clipped - rebuilt @ module.arrange.T) ** 2, dim=0)
    module.usual_error.copy_(torch.clamp(usual, min=_LEAST_ERROR))


def _supported_quantile(rows: int, say: Callable[[str], None]) -> float:
    """The highest quantile that at least 10 calibration rows lie beyond."""
    for quantile in _QUANTILES:
        if rows * (1 - quantile) >= _LEAST_BEYOND:
            break
    say(f"threshold at the {quantile:.1%} benign quantile, as {rows} calibration rows support")
    return quantile


def _usual(train: Dataset) -> dict[str, UsualRange]:
    values = np.percentile(train.features.astype(np.float64), (1, 50, 99), axis=0)
    return {
        column: UsualRange(*(round(float(value), 6) for value in values[:, number]))
        for number, column in enumerate(train.schema.columns)
    }


def _versions(*packages: str) -> dict[str, str]:
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}
