"""Fitting the density of benign latent vectors."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from emtc_agent.packets import Float64
from emtc_trainer.model import COMPONENTS, Density

_LEAST_VARIANCE = 0.25
_NOISE = 0.05  # of the mean variance, added to each axis: 8-bit steps must not be blown up on axes that hardly vary


def fit_density(density: Density, latent: Float64, seed: int) -> None:
    """Set the buffers from (N, L) benign latent vectors; few vectors get few components, the rest repeat them."""
    pca = PCA(random_state=seed).fit(latent)
    along = pca.explained_variance_
    whiten = pca.components_.T / np.sqrt(along + max(_NOISE * along.mean(), 1e-9))
    number = max(1, min(COMPONENTS, len(latent) // 10))
    mixture = GaussianMixture(number, covariance_type="diag", reg_covar=_LEAST_VARIANCE, random_state=seed)
    mixture.fit((latent - pca.mean_) @ whiten)
    which = np.arange(COMPONENTS) % number
    mean, variance = mixture.means_[which], mixture.covariances_[which]
    height = np.log(mixture.weights_[which]) - 0.5 * np.log(variance).sum(axis=1)
    level = (mean**2 / variance).sum(axis=1) / 2 + height.max() - height
    values = (
        ("center", pca.mean_),
        ("whiten", whiten),
        ("curve", 0.5 / variance.T),
        ("slope", (mean / variance).T),
        ("level", level),
    )
    for name, value in values:
        getattr(density, name).copy_(torch.from_numpy(np.ascontiguousarray(value)))
