"""From scores to p-values: a table made of benign scores, on the gateway and on the desktop alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emtc_agent.packets import Float32, Float64

ERROR_SHARE = 0.5
"""Part of the errors' sum in a score; the rest is how rare the combination is (docs/decisions/016-score.md)."""

_BODY, _TAIL = 256, 64
_TAIL_SHARE = 0.03
_LEAST_IN_TAIL = 10
_LEAST_P = 1e-9


@dataclass(frozen=True, slots=True)
class Recalibration:
    """What a site's own traffic changes about a model's scores.

    Attributes:
        weights: (F,) factors of the errors, above 0.
        threshold: Score that alerts tell as the usual limit.
        scores, shares: The table that ``p_values`` reads.
    """

    weights: Float32
    threshold: float
    scores: tuple[float, ...]
    shares: tuple[float, ...]

    def apply(self, errors: Float32, score: Float32) -> tuple[Float32, Float32]:
        """(N, F) errors and (N,) scores of the model -> those of the site."""
        return errors * self.weights, score + self._change(errors)

    def undo(self, errors: Float32, score: Float32) -> tuple[Float32, Float32]:
        """The opposite of ``apply``."""
        plain = errors / self.weights
        return plain, score - self._change(plain)

    def _change(self, errors: Float32) -> Float32:
        """(N, F) errors of the model -> (N,) what the weights add to its scores."""
        changed: Float32 = errors @ (ERROR_SHARE * (self.weights - 1)).astype(np.float32)
        return changed


def table(scores: Float64) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Ascending scores and the share of benign windows that score at least as high.

    Shares down to 3 % are counted: (1 + number at least as high) / (N + 1). Below, counting has too little to go by;
    the excess of the highest 3 % over the median falls as a power, with the exponent that is likeliest (Hill's
    estimate), and the table goes on to one in a billion. With fewer than 334 scores all of it is counted.

    Args:
        scores: (N,) scores of benign rows that the model was not trained on; at least 2 different ones.
    """
    ordered = np.sort(scores.astype(np.float64))
    in_tail = int(len(ordered) * _TAIL_SHARE)
    if in_tail < _LEAST_IN_TAIL or ordered[-in_tail - 1] <= np.median(ordered):
        return _told(*_counted(ordered, len(ordered)))
    values, p_values = _counted(ordered, len(ordered) - in_tail)
    more, tail_p = _extrapolated(ordered, in_tail)
    return _told(np.append(values, more), np.append(p_values, tail_p))


def weights(p_values: Float64, drift: float, cap: float) -> Float64:
    """(N,) what windows of these p-values add to an endpoint's evidence: -ln p, at most ``cap``, less ``drift``."""
    return np.minimum(-np.log(np.maximum(p_values, _LEAST_P)), cap) - drift


def p_values(scores: Float64, known: tuple[tuple[float, ...], tuple[float, ...]]) -> Float64:
    """(N,) p-values of scores by a table."""
    return np.exp(np.interp(scores, known[0], np.log(np.maximum(known[1], _LEAST_P))))


def score_at(share: float, known: tuple[tuple[float, ...], tuple[float, ...]]) -> float:
    """The score that a share of benign windows exceeds, by a table."""
    falling = -np.log(np.maximum(known[1], _LEAST_P))
    return float(np.interp(-np.log(share), falling, known[0]))


def _counted(ordered: Float64, until: int) -> tuple[Float64, Float64]:
    """Different scores among the first ``until`` of ``ordered``, at most 256, and their shares."""
    chosen = np.unique(np.linspace(0, until - 1, min(_BODY, until)).astype(int))
    values = np.unique(ordered[chosen])
    at_least = len(ordered) - np.searchsorted(ordered, values, side="left")
    return values, np.minimum((1 + at_least) / (len(ordered) + 1), 1.0)


def _extrapolated(ordered: Float64, in_tail: int) -> tuple[Float64, Float64]:
    """Scores beyond the counted part, and their shares by the power law."""
    middle, begin = float(np.median(ordered)), float(ordered[-in_tail - 1])
    steepness = 1 / max(float(np.mean(np.log((ordered[-in_tail:] - middle) / (begin - middle)))), 1e-3)
    share = np.geomspace(_TAIL_SHARE, _LEAST_P, _TAIL + 1)[1:]
    return middle + (begin - middle) * (share / _TAIL_SHARE) ** (-1 / steepness), share


def _told(values: Float64, shares: Float64) -> tuple[tuple[float, ...], tuple[float, ...]]:
    finite = np.minimum(np.maximum.accumulate(values), 1e30)
    return tuple(map(float, finite)), tuple(map(float, np.minimum.accumulate(shares)))
