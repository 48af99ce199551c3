"""A model in the form that converts: no transposed convolutions."""

from __future__ import annotations

import copy

import torch
from torch import nn

from emtc_trainer.autoencoder import UpConv
from emtc_trainer.model import Detector


def exportable(module: Detector) -> Detector:
    """The same function without transposed convolutions; ``module`` itself where it has none."""
    decoder = module.autoencoder.decoder
    if all(isinstance(layer, UpConv) for layer in decoder):
        return module
    rewritten = copy.deepcopy(module)
    rewritten.autoencoder.decoder = nn.ModuleList(
        _as_convolution(layer[0], rectified=True) if isinstance(layer, nn.Sequential) else _as_convolution(layer)
        for layer in decoder
    )
    return rewritten.eval()


def _as_convolution(layer: nn.Module, *, rectified: bool = False) -> UpConv:
    """The convolution and depth-to-space that equal ``ConvTranspose1d(a, b, 4, stride=2, padding=1)``.

    With taps w, such a layer gives ``y[2t] = w1 x[t] + w3 x[t-1]`` and ``y[2t+1] = w2 x[t] + w0 x[t+1]``: two
    convolutions of width 3, one for the even and one for the odd places.
    """
    assert isinstance(layer, nn.ConvTranspose1d)
    assert layer.bias is not None
    w0, w1, w2, w3 = (tap.T for tap in layer.weight.detach().unbind(2))  # each (out, in)
    none = torch.zeros_like(w0)
    even, odd = torch.stack([w3, w1, none], 2), torch.stack([none, w2, w0], 2)
    made = UpConv(layer.in_channels, layer.out_channels, rectified=rectified)
    made.load_state_dict({"weight": torch.cat([even, odd]), "bias": layer.bias.detach().repeat(2)})
    return made


def kept_in_float(decoder_layers: int) -> tuple[str, ...]:
    """The autoencoder's layers that are not quantized: the bottleneck and the last one.

    They hold 1.5 % of the weights, and 8 bits cost most there (docs/decisions/011-export.md).

    Args:
        decoder_layers: Layers of the decoder.
    """
    return "squeeze", "expand", f"decoder.{decoder_layers - 1}"
