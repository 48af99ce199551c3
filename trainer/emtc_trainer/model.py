"""The detector network: raw features in; score, per-feature errors and latent out.

Everything a gateway needs is inside the graph, so that exported models cannot drift from the trained one: making
values finite, log transform, robust scaling, clipping, the autoencoder, the range term and the score.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from emtc_contract.schema import FeatureSchema
from emtc_trainer.autoencoder import Autoencoder, Preset

CLIP = 6.0
_FAR = 1e9  # stands for NaN, infinity and whatever is larger
_MAX_EXCESS = 1e3


class Detector(nn.Module):
    """Transforms, autoencoder and score as one graph.

    Args:
        schema: Decides which features are log-transformed.
        preset: Size of the autoencoder.

    Attributes:
        center, spread: Robust location and scale of the transformed features.
        arrange: (F, F) permutation matrix, features to the order in which the autoencoder sees them (correlated ones
            side by side): runtimes multiply faster than they gather, and the product with ones and zeros is exact.
        usual_error: Mean benign squared error per feature; errors are told in multiples of it.
    """

    center: Tensor
    spread: Tensor
    arrange: Tensor
    usual_error: Tensor
    is_log: Tensor

    def __init__(self, schema: FeatureSchema, preset: Preset) -> None:
        super().__init__()
        size = len(schema.features)
        self.autoencoder = Autoencoder(size, preset)
        self.register_buffer("is_log", torch.tensor([float(feature.scale == "log") for feature in schema.features]))
        self.register_buffer("center", torch.zeros(size))
        self.register_buffer("spread", torch.ones(size))
        self.register_buffer("arrange", torch.eye(size))
        self.register_buffer("usual_error", torch.ones(size))

    def transform(self, x: Tensor) -> Tensor:
        """(N, F) raw features, any value -> finite, logarithmic where the schema says so."""
        x = torch.where(torch.isnan(x), _FAR, x).clamp(-_FAR, _FAR)
        logs = x * self.is_log
        return x * (1 - self.is_log) + torch.log1p(logs.clamp(min=0)) - torch.log1p((-logs).clamp(min=0))

    def scale(self, x: Tensor) -> Tensor:
        """(N, F) raw features -> robust z-scores, not clipped."""
        return (self.transform(x) - self.center) / self.spread

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, F) raw features -> score (N,), errors (N, F), latent (N, L).

        An error is the squared residual in multiples of what is usual for the feature, plus the squared log of
        how far the value lies outside the clipped range: an autoencoder can reconstruct far-out points well.
        """
        z = self.scale(x)
        clipped = torch.clamp(z, -CLIP, CLIP)
        rebuilt, latent = self.autoencoder(clipped @ self.arrange)
        residual = clipped - rebuilt @ self.arrange.T
        excess = torch.log1p(torch.clamp(torch.abs(z) - CLIP, 0.0, _MAX_EXCESS))
        errors = residual * residual / self.usual_error + excess * excess
        return errors.mean(1), errors, latent
