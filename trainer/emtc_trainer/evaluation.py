"""Judging a model on rows it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emtc_agent.packets import Bool, Float64
from emtc_contract.bundle import SourceFile
from emtc_contract.errors import InputError
from emtc_trainer.data import Dataset
from emtc_trainer.metrics import Confusion, auc_pr, auc_roc, from_confusion, threshold_at
from emtc_trainer.saved import TrainedModel
from emtc_trainer.training import score

BUDGETS = (1e-2, 1e-3)


@dataclass(frozen=True, slots=True)
class TypeRecall:
    """How often one type of attack is seen.

    Attributes:
        name: ``"family/type"``.
        rows: Its windows.
        auc: Against all benign windows.
        recall: At the model's threshold.
        at_budget: Recall at each false-alarm budget of ``BUDGETS``; None where too few benign windows.
    """

    name: str
    rows: int
    auc: float
    recall: float
    at_budget: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics of a model on a test set.

    Attributes:
        confusion: Verdicts at the model's threshold.
        metrics: See ``metrics.py``, with ``auc_roc`` and ``auc_pr``.
        always_attack: The same metrics for a detector that flags everything.
        types: Per type of attack.
        benign_rows: Benign windows.
    """

    confusion: Confusion
    metrics: dict[str, float]
    always_attack: dict[str, float]
    types: tuple[TypeRecall, ...]
    benign_rows: int


def refuse_seen(model: TrainedModel, files: Sequence[SourceFile]) -> None:
    """Raise InputError if the model was trained or calibrated on one of the files."""
    seen = {file.sha256 for file in model.provenance.files}
    for file in files:
        if file.sha256 in seen:
            raise InputError(f"{file.name}: the model was fitted on this file; figures on it would mean nothing")


def evaluate(model: TrainedModel, test: Dataset) -> Evaluation:
    """Score the test rows and compute every metric; raises InputError without benign or attack rows."""
    is_attack = test.label != ""
    if is_attack.all() or not is_attack.any():
        raise InputError("evaluation needs benign and attack rows (labels.csv beside a capture gives labels)")
    scores = score(model.module, test.features)
    confusion = Confusion.of(is_attack, scores > model.threshold)
    always = Confusion(tn=0, fp=confusion.fp + confusion.tn, fn=0, tp=confusion.fn + confusion.tp)
    areas = {"auc_roc": auc_roc(is_attack, scores), "auc_pr": auc_pr(is_attack, scores)}
    benign = scores[~is_attack]
    thresholds = [threshold_at(benign, far) for far in BUDGETS]
    types = tuple(
        _type_recall(name, scores, test.label == name, is_attack, model.threshold, thresholds)
        for name in sorted(set(test.label[is_attack].tolist()))
    )
    return Evaluation(confusion, from_confusion(confusion) | areas, from_confusion(always), types, len(benign))


def _type_recall(
    name: str, scores: Float64, of_type: Bool, is_attack: Bool, threshold: float, budgets: list[float | None]
) -> TypeRecall:
    mine = scores[of_type]
    relevant = of_type | ~is_attack
    return TypeRecall(
        name=name,
        rows=len(mine),
        auc=auc_roc(of_type[relevant], scores[relevant]),
        recall=float(np.mean(mine > threshold)),
        at_budget=tuple(None if limit is None else float(np.mean(mine > limit)) for limit in budgets),
    )
