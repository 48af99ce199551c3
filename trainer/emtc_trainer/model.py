"""The detector network: raw features in; score, per-feature errors and latent out.

Everything a gateway needs is inside the graph, so that exported models cannot drift from the trained one: making
values finite, log transform, robust scaling, clipping, the autoencoder, the density of its latent space, the range
term and the score. docs/decisions/016-score.md tells why it is made of these three.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from emtc_contract.schema import FeatureSchema
from emtc_trainer.autoencoder import Autoencoder, Preset

CLIP = 6.0
COMPONENTS = 64
_FAR = 1e9  # stands for NaN, infinity and whatever is larger
_RANGE_WEIGHT = 60.0


class Density(nn.Module):
    """Negative log-likelihood of a latent vector under a mixture of Gaussians, up to a constant; never below 0.

    The vector is whitened, and each component has a variance per axis: two small products per row. Variances stay
    above 1/4 of the whitened data's, so that float32 loses no digits in their difference.

    Args:
        size: L, length of the vector.

    Attributes:
        center: (L,) mean of benign vectors.
        whiten: (L, L) rotation and scaling to unit variance.
        curve, slope: (L, K) 1 / (2 variance) and mean / variance of each component.
        level: (K,) what remains of each component's energy.
    """

    center: Tensor
    whiten: Tensor
    curve: Tensor
    slope: Tensor
    level: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(size))
        self.register_buffer("whiten", torch.eye(size))
        self.register_buffer("curve", torch.full((size, COMPONENTS), 0.5))
        self.register_buffer("slope", torch.zeros(size, COMPONENTS))
        self.register_buffer("level", torch.zeros(COMPONENTS))

    def forward(self, latent: Tensor) -> Tensor:
        """(N, L) -> (N,)."""
        y = (latent - self.center) @ self.whiten
        energy = (y * y) @ self.curve - y @ self.slope + self.level
        least = energy.amin(1, keepdim=True)
        return least.squeeze(1) - torch.log(torch.exp(least - energy).mean(1))


class Detector(nn.Module):
    """Transforms, autoencoder and score as one graph.

    Args:
        schema: Decides which features are log-transformed.
        preset: Size of the autoencoder.

    Attributes:
        center, spread: Robust location and scale of the transformed features.
        low, high, width: Range of the transformed features in training, and the step in which leaving it counts.
        arrange: (F, F) permutation matrix, features to the order in which the autoencoder sees them (correlated ones
            side by side): runtimes multiply faster than they gather, and the product with ones and zeros is exact.
        usual_error: Mean benign squared error per feature; errors are told in multiples of it.
    """

    center: Tensor
    spread: Tensor
    low: Tensor
    high: Tensor
    width: Tensor
    arrange: Tensor
    usual_error: Tensor
    is_log: Tensor

    def __init__(self, schema: FeatureSchema, preset: Preset) -> None:
        super().__init__()
        size = len(schema.features)
        self.autoencoder = Autoencoder(size, preset)
        self.density = Density(self.autoencoder.latent_size)
        self.register_buffer("is_log", torch.tensor([float(feature.scale == "log") for feature in schema.features]))
        self.register_buffer("center", torch.zeros(size))
        self.register_buffer("spread", torch.ones(size))
        self.register_buffer("low", torch.zeros(size))
        self.register_buffer("high", torch.zeros(size))
        self.register_buffer("width", torch.ones(size))
        self.register_buffer("arrange", torch.eye(size))
        self.register_buffer("usual_error", torch.ones(size))

    def transform(self, x: Tensor) -> Tensor:
        """(N, F) raw features, any value -> finite, logarithmic where the schema says so."""
        x = torch.where(torch.isnan(x), _FAR, x).clamp(-_FAR, _FAR)
        logs = x * self.is_log
        return x * (1 - self.is_log) + torch.log1p(logs.clamp(min=0)) - torch.log1p((-logs).clamp(min=0))

    def encode(self, values: Tensor) -> Tensor:
        """(N, F) transformed features -> robust z-scores, clipped, as the autoencoder sees them."""
        return torch.clamp((values - self.center) / self.spread, -CLIP, CLIP) @ self.arrange

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, F) raw features -> score (N,), errors (N, F), latent (N, L).

        An error is the squared residual in multiples of what is usual for the feature, plus the log of how far the
        value lies outside the range of training: an autoencoder can reconstruct far-out points well. The score is
        half the sum of the errors plus how rare the combination is, as the latent space has it.
        """
        values = self.transform(x)
        shown = self.encode(values)
        rebuilt, latent = self.autoencoder(shown)
        residual = (shown - rebuilt) @ self.arrange.T
        outside = torch.relu(values - self.high) + torch.relu(self.low - values)
        errors = residual * residual / self.usual_error + _RANGE_WEIGHT * torch.log1p(outside / self.width)
        return self.density(latent) + 0.5 * errors.sum(1), errors, latent
