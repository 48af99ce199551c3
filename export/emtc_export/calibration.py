"""Threshold and p-values, derived on the model that will run."""

from __future__ import annotations

import numpy as np

from emtc_agent.packets import Float64

_TAIL = 256
_BODY = 256


def table(scores: Float64) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Ascending benign scores and the share of benign windows that score at least as high.

    The shares are conformal p-values, (1 + number at least as high) / (N + 1): never 0, and honest about how
    little a small set can say. All of the highest 256 scores are kept, and 256 of the others.

    Args:
        scores: (N,) scores of benign rows that the model was not trained on; at least 2 different ones.
    """
    ordered = np.sort(scores)
    body = np.linspace(0, max(len(ordered) - _TAIL, 0), _BODY, endpoint=False).astype(int)
    tail = np.arange(max(len(ordered) - _TAIL, 0), len(ordered))
    values = np.unique(ordered[np.union1d(body, tail)])
    at_least = len(ordered) - np.searchsorted(ordered, values, side="left")
    p_values = (1 + at_least) / (len(ordered) + 1)
    return tuple(map(float, values)), tuple(float(min(p, 1.0)) for p in p_values)


def threshold(scores: Float64, quantile: float) -> float:
    """The score that a share ``quantile`` of benign rows does not exceed."""
    return float(np.quantile(scores, quantile, method="higher"))
