"""Detectors side by side: the same rows and runs, thresholds from benign runs neither trained nor tested on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from emtc_agent.detector.calibration import p_values, table, weights
from emtc_agent.incidents.tracker import IncidentConfig
from emtc_agent.packets import Float64
from emtc_trainer.honest.baselines import Score
from emtc_trainer.honest.judging import Operating, Verdict, judge
from emtc_trainer.honest.recordings import Run
from emtc_trainer.metrics import auc_roc, threshold_at
from emtc_trainer.operating import Stream, level_for, streams

BUDGETS = (1e-2, 1e-3)


@dataclass(frozen=True, slots=True)
class Compared:
    """One detector.

    Attributes:
        name: Its name.
        auc: Area under the ROC over all windows of the test runs that are benign or hold an attack.
        verdicts: At the window threshold of each of ``BUDGETS``, None where calibration has too few windows; its
            incidents do not depend on that threshold.
        operating: For the first of ``BUDGETS``.
        scores: (N,) per test run.
    """

    name: str
    auc: float
    verdicts: tuple[Verdict | None, ...]
    operating: Operating
    scores: tuple[Float64, ...]


def compare(
    named: Iterable[tuple[str, Score]], calibration: Sequence[Run], test: Sequence[Run]
) -> Iterator[Compared]:
    """Judge detectors that are already fitted, one after the other.

    Args:
        named: Names and scores.
        calibration: Benign runs for thresholds.
        test: Runs with attacks.
    """
    for name, score in named:
        known = [score(run.rows.features.astype(np.float32)) for run in calibration]
        unknown = tuple(score(run.rows.features.astype(np.float32)) for run in test)
        operating = operate(calibration, known)
        benign = _benign(calibration, known)
        limits = [threshold_at(benign, budget) for budget in BUDGETS]
        verdicts = tuple(
            None if limit is None else judge(test, unknown, replace(operating, threshold=limit)) for limit in limits
        )
        yield Compared(name, _auc(test, unknown), verdicts, operating, unknown)


def operate(runs: Sequence[Run], scores: Sequence[Float64], config: IncidentConfig | None = None) -> Operating:
    """What benign runs make of a score: threshold at the first of ``BUDGETS``, p-values, level of evidence."""
    config = config or IncidentConfig()
    benign = _benign(runs, scores)
    known = table(benign)
    found: list[Stream] = []
    for run, score in zip(runs, scores, strict=True):
        weight = weights(p_values(score[run.benign], known), config.drift, config.cap)
        found += streams(run.rows.endpoint[run.benign], run.rows.last_us[run.benign], weight)
    level = level_for(found, sum(run.device_hours for run in runs), config)
    return Operating(float(np.quantile(benign, 1 - BUDGETS[0], method="higher")), known, level)


def _benign(runs: Sequence[Run], scores: Sequence[Float64]) -> Float64:
    return np.concatenate([values[run.benign] for run, values in zip(runs, scores, strict=True)])


def _auc(test: Sequence[Run], scores: Sequence[Float64]) -> float:
    values, attack = [], []
    for run, score in zip(test, scores, strict=True):
        held = run.rows.label != ""
        values += [score[held], score[run.benign]]
        attack += [np.ones(int(held.sum()), bool), np.zeros(int(run.benign.sum()), bool)]
    return auc_roc(np.concatenate(attack), np.concatenate(values))
