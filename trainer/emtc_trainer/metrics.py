"""Detection metrics from a confusion matrix and from scores; attacks are the positive class."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from emtc_agent.packets import Bool, Float64


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of verdicts: benign rows are TN or FP, attack rows FN or TP."""

    tn: int
    fp: int
    fn: int
    tp: int

    @classmethod
    def of(cls, is_attack: Bool, flagged: Bool) -> Confusion:
        """Count (N,) verdicts against (N,) truths."""
        return cls(
            tn=int((~is_attack & ~flagged).sum()),
            fp=int((~is_attack & flagged).sum()),
            fn=int((is_attack & ~flagged).sum()),
            tp=int((is_attack & flagged).sum()),
        )


def from_confusion(c: Confusion) -> dict[str, float]:
    """Every metric of the Conv-AE paper, then those it leaves out; NaN where undefined."""
    n = c.tn + c.fp + c.fn + c.tp
    precision, recall = _ratio(c.tp, c.tp + c.fp), _ratio(c.tp, c.tp + c.fn)
    tnr, npv = _ratio(c.tn, c.tn + c.fp), _ratio(c.tn, c.tn + c.fn)
    f1, benign_f1 = _harmonic(precision, recall), _harmonic(npv, tnr)
    accuracy = _ratio(c.tp + c.tn, n)
    by_chance = _ratio((c.tp + c.fp) * (c.tp + c.fn) + (c.tn + c.fn) * (c.tn + c.fp), n * n)
    product = math.prod((c.tp + c.fp, c.tp + c.fn, c.tn + c.fp, c.tn + c.fn))
    return {
        "accuracy": accuracy,
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "far": _ratio(c.fp, c.fp + c.tn),
        "tnr": tnr,
        "kappa": _ratio(accuracy - by_chance, 1 - by_chance),
        "mcc": _ratio(c.tp * c.tn - c.fp * c.fn, math.sqrt(product)),
        "g_mean": math.sqrt(recall * tnr),
        "npv": npv,
        "benign_f1": benign_f1,
        "macro_f1": (f1 + benign_f1) / 2,
        "balanced_accuracy": (recall + tnr) / 2,
        "fnr": _ratio(c.fn, c.fn + c.tp),
    }


def auc_roc(is_attack: Bool, score: Float64) -> float:
    """Probability that an attack scores above a benign row, ties counted half (Mann-Whitney)."""
    positives, negatives = int(is_attack.sum()), int((~is_attack).sum())
    return _ratio(float(ranks(score)[is_attack].sum()) - positives * (positives + 1) / 2, positives * negatives)


def rank_correlation(a: Float64, b: Float64) -> float:
    """Spearman's: Pearson's correlation of the ranks."""
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def ranks(values: Float64) -> Float64:
    """(N,) ranks from 1; equal values share their mean rank."""
    _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[inverse]


def auc_pr(is_attack: Bool, score: Float64) -> float:
    """Average precision: the step-wise area under precision over recall."""
    thresholds, inverse = np.unique(-score, return_inverse=True)
    hits = np.cumsum(np.bincount(inverse, weights=is_attack, minlength=len(thresholds)))
    flagged = np.cumsum(np.bincount(inverse, minlength=len(thresholds)))
    gained = np.diff(hits, prepend=0)
    return _ratio(float((gained * hits / flagged).sum()), float(is_attack.sum()))


def threshold_at(benign_score: Float64, far: float) -> float | None:
    """The score that a share ``far`` of benign rows exceeds; None if fewer than 10 rows would."""
    if len(benign_score) * far < 10:
        return None
    return float(np.quantile(benign_score, 1 - far, method="higher"))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _harmonic(a: float, b: float) -> float:
    return _ratio(2 * a * b, a + b)
