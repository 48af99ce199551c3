"""From a site's benign windows to weights of the errors, a calibration table and a threshold.

Three parts that do not overlap, in the order of time: the first fits the weights, the second makes the table, the
third only judges. Measured in docs/decisions/019-learning.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from emtc_agent.detector.calibration import Recalibration, p_values, score_at, table
from emtc_agent.learning.probe import Probe
from emtc_agent.learning.rows import Rows
from emtc_agent.learning.trial import Figures, Judge
from emtc_agent.packets import Float32
from emtc_contract.errors import InputError

LEAST_WEIGHT = 1 / 16
_THRESHOLD_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class RecalibrationConfig:
    """How windows become a calibration.

    Attributes:
        fit_share: Part of the sample that fits the weights; the rest makes the table.
        trial_share: Part of all windows, the latest, that judges.
        trimmed: Share of each feature's highest errors that the weights do not see: what poisons so few windows,
            or comes so rarely, does not make the detector blind for it.
        least_weight: Lowest weight of a feature. The highest is 1: nothing is amplified.
        least_table: Windows that a table needs, for its tail (``calibration.table``).
        least_trial: Windows that judging needs.
        least_seen: Part of the made-up attacks seen before that must still be seen.
    """

    fit_share: float = 0.4
    trial_share: float = 0.25
    trimmed: float = 0.05
    least_weight: float = LEAST_WEIGHT
    least_table: int = 334
    least_trial: int = 100
    least_seen: float = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """A recalibration and what it changes.

    Attributes:
        site: The recalibration.
        before, after: What windows of the trial cause, as they were scored and with ``site``.
    """

    site: Recalibration
    before: Figures
    after: Figures


def recalibrate(
    sample: Rows,
    trial: Rows,
    judge: Judge,
    present: Recalibration,
    probe: Probe | None = None,
    config: RecalibrationConfig | None = None,
) -> Outcome:
    """Fit, calibrate and judge.

    Args:
        sample: Benign windows, in order; those as late as the trial's are left out.
        trial: Later windows, all of them.
        judge: Counts incidents.
        present: In use so far.
        probe: Made-up attacks.
        config: How.

    Raises:
        InputError: Too few windows, or windows that nothing can be learned from; says which.
    """
    config = config or RecalibrationConfig()
    if len(trial) < config.least_trial:
        raise InputError(f"{len(trial)} windows to judge on, {config.least_trial} are needed")
    earlier = sample.take(sample.order < trial.order[0])
    cut = int(len(earlier) * config.fit_share)
    fitting, calibrating = earlier.take(slice(0, cut)), earlier.take(slice(cut, None))
    if len(calibrating) < config.least_table:
        raise InputError(f"{len(calibrating)} windows to calibrate on, {config.least_table} are needed")
    site = _calibrated(calibrating, error_weights(fitting.errors, config))
    _, score = site.apply(trial.errors, trial.score)
    after = p_values(score.astype(np.float64), (site.scores, site.shares))
    figures = (judge.figures(trial, p_value) for p_value in (trial.p_value, after))
    seen = (probe.seen(one) if probe else None for one in (present, site))
    return Outcome(
        site, *(msgspec.structs.replace(one, attacks_seen=of) for one, of in zip(figures, seen, strict=True))
    )


def error_weights(errors: Float32, config: RecalibrationConfig) -> Float32:
    """(N, F) benign errors -> (F,) weights that bring their trimmed means down to 1, as in the training data."""
    kept = max(int(len(errors) * (1 - config.trimmed)), 1)
    usual = np.sort(errors, axis=0)[:kept].mean(axis=0)
    return np.clip(1 / np.maximum(usual, 1.0), config.least_weight, 1.0).astype(np.float32)


def _calibrated(rows: Rows, weights: Float32) -> Recalibration:
    _, score = Recalibration(weights, 1.0, (), ()).apply(rows.errors, rows.score)
    if not np.isfinite(score).all() or np.ptp(score) == 0:
        raise InputError("the windows' scores are all the same, or not finite: nothing to calibrate on")
    known = table(score.astype(np.float64))
    threshold = score_at(_THRESHOLD_SHARE, known)
    if threshold <= 0:
        raise InputError(f"a threshold of {threshold:g} is absurd")
    return Recalibration(weights, threshold, *known)
