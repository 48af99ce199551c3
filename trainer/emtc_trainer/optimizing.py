"""Training an autoencoder: Adam on masked rows, early stopping on rows that are not trained on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from emtc_trainer.autoencoder import Autoencoder

Progress = Callable[[int, float, float], None]
"""Called after each epoch with its number, training and validation loss."""

Losses = tuple[float, float]
"""Mean squared error of an epoch: of masked training rows, of whole validation rows."""


@dataclass(frozen=True, slots=True)
class OptimizeConfig:
    """How to train.

    Attributes:
        epochs: Most passes over the data.
        patience: Passes without a better validation loss before training ends.
        batch: Rows per step.
        learning_rate: Of Adam.
        mask: Share of features hidden from the network in training; it must rebuild them from the others.
    """

    epochs: int = 150
    patience: int = 20
    batch: int = 128
    learning_rate: float = 1e-3
    mask: float = 0.15


def optimize(
    autoencoder: Autoencoder, learn: Tensor, check: Tensor, config: OptimizeConfig, progress: Progress
) -> list[Losses]:
    """Train; leaves the best weights in ``autoencoder``.

    Args:
        autoencoder: What to train.
        learn: (N, F) scaled rows.
        check: (M, F) scaled rows that validate.
        config: How.
        progress: Told each epoch.

    Returns:
        The losses of each epoch.
    """
    wanted = [one for one in autoencoder.parameters() if one.requires_grad]
    optimizer = torch.optim.Adam(wanted, lr=config.learning_rate)
    best = copy.deepcopy(autoencoder.state_dict())
    least, since_best = float("inf"), 0
    history: list[Losses] = []
    for epoch in range(1, config.epochs + 1):
        loss = _epoch(autoencoder, learn, optimizer, config)
        validation = mean_error(autoencoder, check).mean().item()
        since_best = 0 if validation < least else since_best + 1
        if not since_best:
            least, best = validation, copy.deepcopy(autoencoder.state_dict())
        history.append((loss, validation))
        progress(epoch, loss, validation)
        if since_best >= config.patience:
            break
    autoencoder.load_state_dict(best)
    return history


def mean_error(autoencoder: Autoencoder, rows: Tensor) -> Tensor:
    """(N,) mean squared error over the features of each scaled row."""
    with torch.no_grad():
        pieces = [((autoencoder(piece)[0] - piece) ** 2).mean(dim=1) for piece in rows.split(4096)]  # type: ignore[no-untyped-call]
    return torch.cat(pieces)


def _epoch(
    autoencoder: Autoencoder, learn: Tensor, optimizer: torch.optim.Optimizer, config: OptimizeConfig
) -> float:
    """One pass; returns the mean loss."""
    total = 0.0
    for index in torch.randperm(len(learn)).split(config.batch):  # type: ignore[no-untyped-call]
        wanted = learn[index]
        shown = wanted * (torch.rand_like(wanted) >= config.mask)
        optimizer.zero_grad()
        loss = torch.mean((autoencoder(shown)[0] - wanted) ** 2)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.item() * len(index)
    return total / len(learn)
