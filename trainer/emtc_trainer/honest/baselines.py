"""What a detector has to beat: rules and textbook methods on the same rows.

Each is fitted on benign training rows and gives a score; its threshold comes from benign calibration rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture

from emtc_agent.packets import Float32, Float64
from emtc_contract.schema import FeatureSchema
from emtc_trainer.autoencoder import PRESETS, Autoencoder
from emtc_trainer.model import CLIP
from emtc_trainer.optimizing import OptimizeConfig, mean_error, optimize

Score = Callable[[Float32], Float64]
"""(N, F) raw rows -> (N,) scores; higher is odder."""

_LEAST_SPREAD = 0.05
_TO_SIGMA = 1.349
_NOVELTY = ("new_remote_share", "new_service_share")


@dataclass(frozen=True, slots=True)
class Baseline:
    """A method by name."""

    name: str
    fit: Callable[[Float32, FeatureSchema, int], Score]


def counting_rules(rows: Float32, schema: FeatureSchema, seed: int) -> Score:
    """The largest ratio of a count or rate to its benign maximum."""
    del seed
    counted = np.array([feature.scale == "log" for feature in schema.features])
    limit = np.maximum(rows[:, counted].max(axis=0).astype(np.float64), 1e-3)
    return lambda others: np.asarray((others[:, counted] / limit).max(axis=1), np.float64)


def novelty(rows: Float32, schema: FeatureSchema, seed: int) -> Score:
    """An allow-list of peers and services per endpoint: the share of packets outside it."""
    del rows, seed
    columns = [schema.columns.index(name) for name in _NOVELTY]
    return lambda others: others[:, columns].sum(axis=1).astype(np.float64)


def pca(rows: Float32, schema: FeatureSchema, seed: int) -> Score:
    """Squared residual outside the components that hold 95 % of the variance."""
    scale = scaling(rows, schema)
    model = PCA(n_components=0.95, random_state=seed).fit(scale(rows))

    def residual(others: Float32) -> Float64:
        values = scale(others)
        return ((values - model.inverse_transform(model.transform(values))) ** 2).mean(axis=1)

    return residual


def mahalanobis(rows: Float32, schema: FeatureSchema, seed: int) -> Score:
    """Squared Mahalanobis distance, covariance shrunk by Ledoit and Wolf's rule."""
    del seed
    scale = scaling(rows, schema)
    model = LedoitWolf().fit(scale(rows))
    return lambda others: model.mahalanobis(scale(others))


def gmm(rows: Float32, schema: FeatureSchema, seed: int) -> Score:
    """Negative log-likelihood under 16 Gaussians."""
    scale = scaling(rows, schema)
    model = GaussianMixture(n_components=16, covariance_type="full", reg_covar=1e-2, random_state=seed).fit(
        scale(rows)
    )
    return lambda others: -model.score_samples(scale(others))


def kmeans(rows: Float32, schema: FeatureSchema, seed: int) -> Score:
    """Distance to the nearest of 32 centres."""
    scale = scaling(rows, schema)
    model = KMeans(n_clusters=32, n_init=3, random_state=seed).fit(scale(rows))
    return lambda others: model.transform(scale(others)).min(axis=1)


def isolation_forest(rows: Float32, schema: FeatureSchema, seed: int) -> Score:
    """Isolation Forest of 200 trees."""
    del schema
    model = IsolationForest(n_estimators=200, random_state=seed).fit(rows)
    return lambda others: -model.score_samples(others)


def paper_autoencoder(rows: Float32, schema: FeatureSchema, seed: int) -> Score:
    """The paper's: z-scores, its network, mean squared error; a fifth of the rows stops it."""
    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)

    def scaled(others: Float32) -> torch.Tensor:
        return torch.from_numpy(((others - mean) / spread).astype(np.float32))

    torch.manual_seed(seed)
    network = Autoencoder(len(schema.features), PRESETS["paper"])
    cut = int(0.8 * len(rows))
    config = OptimizeConfig(epochs=20, patience=3, mask=0.0)
    optimize(network, scaled(rows[:cut]), scaled(rows[cut:]), config, lambda *_: None)
    return lambda others: mean_error(network, scaled(others)).numpy().astype(np.float64)


def scaling(rows: Float32, schema: FeatureSchema) -> Callable[[Float32], Float64]:
    """The detector's own transform, robust scaling and clipping, for methods that need one."""
    is_log = np.array([feature.scale == "log" for feature in schema.features])

    def transform(others: Float32) -> Float64:
        values = others.astype(np.float64)
        values[:, is_log] = np.log1p(np.maximum(values[:, is_log], 0))
        return values

    values = transform(rows)
    low, center, high = np.percentile(values, (25, 50, 75), axis=0)
    spread = np.maximum(np.maximum((high - low) / _TO_SIGMA, values.std(axis=0)), _LEAST_SPREAD)
    return lambda others: np.clip((transform(others) - center) / spread, -CLIP, CLIP)


BASELINES = (
    Baseline("counting rules", counting_rules),
    Baseline("novelty only", novelty),
    Baseline("PCA residual", pca),
    Baseline("Mahalanobis", mahalanobis),
    Baseline("GMM", gmm),
    Baseline("k-means distance", kmeans),
    Baseline("Isolation Forest", isolation_forest),
    Baseline("paper's AE", paper_autoencoder),
)
