"""The Conv-AE paper, done again by its text: its network, protocol and metrics, beside rules that need no network.

Z-scores, Conv1D encoder, transposed-convolution decoder, benign rows only, mean squared error, Adam 1e-3, batches of
128, early stopping, threshold at the 95th percentile of benign validation errors. Layer widths, latent size and
epochs are not in the text; the preset ``paper`` has the parameters that its file size implies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from emtc_agent.feature_files import Text
from emtc_agent.packets import Bool, Float32, Float64, Int64
from emtc_contract.errors import InputError
from emtc_contract.schema import FeatureSchema
from emtc_trainer.autoencoder import PRESETS, Autoencoder
from emtc_trainer.ciciot_labels import is_flood
from emtc_trainer.data import Dataset, load
from emtc_trainer.metrics import Confusion, auc_pr, auc_roc, from_confusion
from emtc_trainer.optimizing import OptimizeConfig, Progress, mean_error, optimize

QUANTILE = 0.95
BENIGN_SHARE, FLOOD_SHARE = 0.0235, 0.9807
"""Benign share of the paper's test rows; share of floods among CICIoT2023's attack rows."""

PUBLISHED = from_confusion(Confusion(tn=2285, fp=128, fn=976, tp=99189)) | {"auc_roc": 0.9895, "auc_pr": 0.9996}
_TEST_ROWS = 102_578
_PCA_VARIANCE = 0.95


@dataclass(frozen=True, slots=True)
class Contender:
    """A way to tell attacks, judged on the test rows.

    Attributes:
        name: Its name.
        confusion: Verdicts.
        metrics: See ``metrics.py``; areas only where there is a score.
        families: Family -> recall.
    """

    name: str
    confusion: Confusion
    metrics: dict[str, float]
    families: dict[str, float]


@dataclass(frozen=True, slots=True)
class PaperResult:
    """The table of ``emtc-trainer paper``."""

    contenders: tuple[Contender, ...]
    parameters: int
    epochs: int
    train_rows: int
    benign_rows: int
    attack_rows: int


def paper(
    folder: Path,
    schema: FeatureSchema,
    preset: str,
    config: OptimizeConfig,
    seed: int,
    *,
    at_shares: bool,
    progress: Progress,
    say: Callable[[str], None],
) -> PaperResult:
    """Train and judge by the paper's protocol.

    Args:
        folder: Of ``emtc-trainer data``.
        schema: Of its rows, one of CICIoT2023's.
        preset: Size of the network.
        config: How to train.
        seed: Of weights and order.
        at_shares: Repeat test rows until benign rows and floods have the shares they have in CICIoT2023.
        progress: Told each epoch.
        say: Takes notices.
    """
    train, calibrate, test = (
        load([folder / f"{role}.parquet"], role, schema, say) for role in ("train", "calibrate", "test")
    )
    if not len(test.benign) or len(test.benign) == len(test):
        raise InputError(f"{folder}: the test rows need benign and attack rows")
    test = test.take(_at_shares(test.label)) if at_shares else test
    mean, spread = _location(train.features)
    rows = [_scaled(data.features, mean, spread) for data in (train, calibrate, test)]
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    network = Autoencoder(len(schema.features), PRESETS[preset])
    history = optimize(network, rows[0], rows[1], config, progress)
    judge = _Judge(test)
    scores = [mean_error(network, part).numpy().astype(np.float64) for part in rows[1:]]
    residual = _pca(rows[0].numpy())
    contenders = (
        judge.by_score("Conv-AE", *scores),
        judge.by_score("PCA residual", residual(rows[1].numpy()), residual(rows[2].numpy())),
        judge.by_rule("Number rule", _number_rule(test, schema)),
        judge.by_rule("always attack", np.ones(len(test), bool)),
    )
    return PaperResult(
        contenders=contenders,
        parameters=sum(weights.numel() for weights in network.parameters()),
        epochs=len(history),
        train_rows=len(train),
        benign_rows=len(test.benign),
        attack_rows=len(test) - len(test.benign),
    )


class _Judge:
    """Metrics of verdicts on the test rows."""

    def __init__(self, test: Dataset) -> None:
        self._is_attack: Bool = test.label != ""
        self._family: Text = np.array([label.split("/")[0] for label in test.label.tolist()], dtype=object)

    def by_score(self, name: str, calibration: Float64, scores: Float64) -> Contender:
        """A score with the threshold of the paper."""
        flagged = scores > np.quantile(calibration, QUANTILE)
        areas = {"auc_roc": auc_roc(self._is_attack, scores), "auc_pr": auc_pr(self._is_attack, scores)}
        return self._contender(name, flagged, areas)

    def by_rule(self, name: str, flagged: Bool) -> Contender:
        """Verdicts without a score."""
        return self._contender(name, flagged, {})

    def _contender(self, name: str, flagged: Bool, areas: dict[str, float]) -> Contender:
        confusion = Confusion.of(self._is_attack, flagged)
        names = sorted(set(self._family[self._is_attack].tolist()))
        recall = {family: float(flagged[self._family == family].mean()) for family in names}
        return Contender(name, confusion, from_confusion(confusion) | areas, recall)


def _number_rule(test: Dataset, schema: FeatureSchema) -> Bool:
    """Rows whose ``Number`` tells that they were windowed by 100: a leak, not a detection."""
    number = test.features[:, schema.columns.index("Number")]
    return np.abs(number - 9.5) < 0.01 if "Weight" in schema.columns else number > 10


def _at_shares(label: Text) -> Int64:
    """Row numbers, repeated to the class shares of CICIoT2023 in a test set of the paper's size."""
    of_flood = np.array([is_flood(name) for name in label.tolist()], bool)
    benign = label == ""
    groups = (
        (benign, BENIGN_SHARE),
        (of_flood, (1 - BENIGN_SHARE) * FLOOD_SHARE),
        (~benign & ~of_flood, (1 - BENIGN_SHARE) * (1 - FLOOD_SHARE)),
    )
    parts = []
    for mask, share in groups:
        own = np.flatnonzero(mask)
        if len(own):
            parts.append(np.resize(own, round(share * _TEST_ROWS)))  # np.resize repeats
    return np.concatenate(parts)


def _location(features: Float32) -> tuple[Float64, Float64]:
    values = features.astype(np.float64)
    spread = values.std(axis=0)
    return values.mean(axis=0), np.where(spread > 0, spread, 1.0)


def _scaled(features: Float32, mean: Float64, spread: Float64) -> torch.Tensor:
    return torch.from_numpy(((features - mean) / spread).astype(np.float32))


def _pca(rows: Float32) -> Callable[[Float32], Float64]:
    """Mean squared residual outside the components that hold 95 % of the benign variance."""
    values = rows.astype(np.float64)
    _, size, axes = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    share = np.cumsum(size**2) / (size**2).sum()
    kept = axes[: int(np.searchsorted(share, _PCA_VARIANCE)) + 1]

    def residual(others: Float32) -> Float64:
        wide = others.astype(np.float64)
        return ((wide - wide @ kept.T @ kept) ** 2).mean(axis=1)

    return residual
