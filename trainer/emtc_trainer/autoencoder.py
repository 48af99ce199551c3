"""The convolutional autoencoder, in the sizes on offer."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Preset:
    """Size of the autoencoder.

    Attributes:
        channels: Channels of the strided encoder layers; each halves the length.
        latent: Channels of the bottleneck.
        transposed: Whether the decoder is made of transposed convolutions, as the paper's is.
    """

    channels: tuple[int, ...]
    latent: int
    transposed: bool = False


PRESETS = {
    "tiny": Preset((8, 16, 32), 2),
    "default": Preset((16, 32, 48), 4),
    "large": Preset((32, 64, 128), 8),
    "paper": Preset((64, 192, 384), 8, transposed=True),  # 0.8 M parameters: its 9.55 MB with the optimiser's state
}


class UpConv(nn.Conv1d):
    """Doubles the length: a convolution to twice the channels, whose halves become even and odd places.

    Depth-to-space by reshape instead of a transposed convolution is what quantizes and converts well
    (docs/decisions/005-model.md); channels last, as TFLite has them, it moves no data.

    Args:
        channels, out: Channels in and out.
        rectified: Whether a ReLU follows; next to the convolution it fuses with it, and 8 bits are not spent on
            negative values.
    """

    def __init__(self, channels: int, out: int, *, rectified: bool) -> None:
        super().__init__(channels, 2 * out, 3, padding=1)
        self.rectified = rectified

    def forward(self, hidden: Tensor) -> Tensor:
        """(N, channels, T) -> (N, out, 2T)."""
        pairs = super().forward(hidden)
        if self.rectified:
            pairs = torch.relu(pairs)
        pairs = pairs.transpose(1, 2)
        return pairs.reshape(-1, 2 * pairs.shape[1], pairs.shape[2] // 2).transpose(1, 2)


class Autoencoder(nn.Module):
    """Strided convolutions, a 1x1 bottleneck, and layers that double the length; over the feature axis.

    Args:
        features: Features per row; padded to a multiple of 2 per layer.
        preset: Size.

    Attributes:
        latent_size: L, numbers in the bottleneck.
    """

    def __init__(self, features: int, preset: Preset) -> None:
        super().__init__()
        step = 2 ** len(preset.channels)
        self.features = features
        self.length = math.ceil(features / step) * step
        self.latent_size = self.length // step * preset.latent
        widths = (1, *preset.channels)
        self.encoder = nn.ModuleList(nn.Conv1d(a, b, 5, stride=2, padding=2) for a, b in itertools.pairwise(widths))
        self.squeeze = nn.Conv1d(widths[-1], preset.latent, 1)
        self.expand = nn.Conv1d(preset.latent, widths[-1], 1)
        up = _transposed if preset.transposed else _up
        self.decoder = nn.ModuleList(up(a, b, b > 1) for a, b in itertools.pairwise(widths[::-1]))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(N, F) scaled features -> (N, F) reconstruction, (N, L) latent."""
        hidden = functional.pad(z, (0, self.length - self.features)).unsqueeze(1)
        for layer in self.encoder:
            hidden = torch.relu(layer(hidden))
        latent = self.squeeze(hidden)
        hidden = torch.relu(self.expand(latent))
        for layer in self.decoder:
            hidden = layer(hidden)
        return hidden.squeeze(1)[:, : self.features], latent.flatten(1)


def _up(channels: int, out: int, rectified: bool) -> nn.Module:
    return UpConv(channels, out, rectified=rectified)


def _transposed(channels: int, out: int, rectified: bool) -> nn.Module:
    layer = nn.ConvTranspose1d(channels, out, 4, stride=2, padding=1)
    return nn.Sequential(layer, nn.ReLU()) if rectified else layer
