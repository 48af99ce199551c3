"""The detector network: raw features in; score, per-feature errors and latent out.

Everything a gateway needs is inside the graph, so that exported models cannot drift from the trained one: making
values finite, log transform, robust scaling, clipping, the autoencoder, the range term and the score.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from emtc_contract.schema import FeatureSchema

CLIP = 6.0
_FAR = 1e9  # stands for NaN and infinity
_MAX_EXCESS = 1e3


@dataclass(frozen=True, slots=True)
class Preset:
    """Size of the autoencoder.

    Attributes:
        channels: Channels of the strided encoder layers; each halves the length.
        latent: Channels of the bottleneck.
    """

    channels: tuple[int, ...]
    latent: int


PRESETS = {
    "tiny": Preset((8, 16, 32), 1),
    "default": Preset((16, 32, 48), 2),
    "large": Preset((32, 64, 128), 4),
}


class PixelAutoencoder(nn.Module):
    """Strided convolutions, a 1x1 bottleneck, and depth-to-space up-sampling.

    It convolves over the feature axis. Depth-to-space by reshape instead of a transposed convolution is what
    quantizes and converts well (docs/decisions/005-model.md).

    Args:
        features: Features per row; padded to a multiple of 2 per layer.
        preset: Size.
    """

    def __init__(self, features: int, preset: Preset) -> None:
        super().__init__()
        step = 2 ** len(preset.channels)
        self.features = features
        self.length = math.ceil(features / step) * step
        widths = (1, *preset.channels)
        self.encoder = nn.ModuleList(nn.Conv1d(a, b, 5, stride=2, padding=2) for a, b in itertools.pairwise(widths))
        self.squeeze = nn.Conv1d(widths[-1], preset.latent, 1)
        self.expand = nn.Conv1d(preset.latent, widths[-1], 1)
        down = widths[::-1]
        self.decoder = nn.ModuleList(nn.Conv1d(a, 2 * b, 3, padding=1) for a, b in itertools.pairwise(down))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(N, F) scaled features -> (N, F) reconstruction, (N, L) latent."""
        hidden = functional.pad(z, (0, self.length - self.features)).unsqueeze(1)
        for layer in self.encoder:
            hidden = torch.relu(layer(hidden))
        latent = self.squeeze(hidden)
        hidden = torch.relu(self.expand(latent))
        for number, layer in enumerate(self.decoder):
            hidden = _depth_to_space(layer(hidden))
            if number < len(self.decoder) - 1:
                hidden = torch.relu(hidden)
        return hidden.squeeze(1)[:, : self.features], latent.flatten(1)


def _depth_to_space(hidden: Tensor) -> Tensor:
    """(N, 2C, T) -> (N, C, 2T): pairs of channels become neighbours in length."""
    channels, length = hidden.shape[1] // 2, hidden.shape[2]
    return hidden.reshape(-1, channels, 2, length).transpose(2, 3).reshape(-1, channels, 2 * length)


class Detector(nn.Module):
    """Transforms, autoencoder and score as one graph.

    Args:
        schema: Decides which features are log-transformed.
        preset: Size of the autoencoder.

    Attributes:
        center, spread: Robust location and scale of the transformed features.
        order: Order in which the autoencoder sees them (correlated ones side by side).
        usual_error: Mean benign squared error per feature; errors are told in multiples of it.
    """

    center: Tensor
    spread: Tensor
    order: Tensor
    back: Tensor
    usual_error: Tensor
    is_log: Tensor

    def __init__(self, schema: FeatureSchema, preset: Preset) -> None:
        super().__init__()
        size = len(schema.features)
        self.autoencoder = PixelAutoencoder(size, preset)
        self.register_buffer("is_log", torch.tensor([feature.scale == "log" for feature in schema.features]))
        self.register_buffer("center", torch.zeros(size))
        self.register_buffer("spread", torch.ones(size))
        self.register_buffer("order", torch.arange(size))
        self.register_buffer("back", torch.arange(size))
        self.register_buffer("usual_error", torch.ones(size))

    def transform(self, x: Tensor) -> Tensor:
        """(N, F) raw features, any value -> finite, logarithmic where the schema says so."""
        x = torch.nan_to_num(x, nan=_FAR, posinf=_FAR, neginf=-_FAR)
        return torch.where(self.is_log, torch.sign(x) * torch.log1p(torch.abs(x)), x)

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
        rebuilt, latent = self.autoencoder(clipped[:, self.order])
        residual = clipped - rebuilt[:, self.back]
        excess = torch.log1p(torch.clamp(torch.abs(z) - CLIP, 0.0, _MAX_EXCESS))
        errors = residual * residual / self.usual_error + excess * excess
        return errors.mean(1), errors, latent
