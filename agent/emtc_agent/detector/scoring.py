"""Scores of windows, calibrated; a bounded number per endpoint and second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emtc_agent.detector.calibration import Recalibration, p_values
from emtc_agent.detector.runtimes import Runtime
from emtc_agent.packets import Bool, Float32, Float64, Int64
from emtc_agent.windows.arrays import is_first, lengths, ranks
from emtc_agent.windows.windows import Windows

SECOND_US = 1_000_000
MAX_PER_SECOND = 16


@dataclass(frozen=True, slots=True)
class Scored:
    """S scored windows out of a batch.

    Attributes:
        index: (S,) which windows, ascending.
        score: (S,) anomaly score, with the site's weights if there are any.
        p_value: (S,) share of benign windows that score at least as high; see ``calibration.table``.
        exceeds: (S,) whether the score exceeds the threshold.
        errors: (S, F) the part of each feature in the score.
    """

    index: Int64
    score: Float32
    p_value: Float64
    exceeds: Bool
    errors: Float32


class Scorer:
    """Scores windows with a bundle's model.

    Args:
        runtime: Runs the model, which brings its calibration.
        max_per_second: Most windows scored per endpoint and second of capture time; a flood emits many more,
            and they say the same.
        site: What was learned on site, in place of the bundle's calibration.

    Attributes:
        skipped: Windows not scored for that reason.
        threshold: Score that alerts tell as the usual limit.
    """

    def __init__(
        self, runtime: Runtime, max_per_second: int = MAX_PER_SECOND, site: Recalibration | None = None
    ) -> None:
        self.skipped = 0
        self._runtime = runtime
        self._limit = max_per_second
        self.use(site)
        self.restart()

    def use(self, site: Recalibration | None) -> None:
        """Score from now on with what was learned on site; None goes back to the bundle's calibration."""
        artifact = self._runtime.artifact
        self._site = site
        self.threshold = site.threshold if site else artifact.threshold
        self._table = (site.scores, site.shares) if site else (artifact.calibration_scores, artifact.calibration_p)

    def restart(self) -> None:
        """Begin another stream: forget how many windows of which second were scored."""
        self._second = np.zeros(0, np.int64)
        self._used = np.zeros(0, np.int64)

    def score(self, windows: Windows) -> Scored:
        """Score the windows of a batch, in the order in which they closed."""
        index = np.flatnonzero(self._within_limit(windows))
        self.skipped += len(windows) - len(index)
        scores = self._runtime.run(windows.features[index].astype(np.float32))
        score, errors = scores.score, scores.errors
        if self._site is not None:
            errors, score = self._site.apply(errors, score)
        p_value = p_values(score.astype(np.float64), self._table)
        return Scored(index, score, p_value, score > self.threshold, errors)

    def _within_limit(self, windows: Windows) -> Bool:
        """(W,) whether a window is among the first of its endpoint and second."""
        slot, second = windows.slot.astype(np.int64), windows.last_us // SECOND_US
        self._grow(int(slot.max(initial=-1)) + 1)
        order = np.lexsort((np.arange(len(slot)), second, slot))
        sorted_slot, sorted_second = slot[order], second[order]
        start = np.flatnonzero(is_first(sorted_slot) | is_first(sorted_second))
        count = lengths(start, len(slot))
        run_slot, run_second = sorted_slot[start], sorted_second[start]
        used = np.where(self._second[run_slot] == run_second, self._used[run_slot], 0)
        within = np.empty(len(slot), bool)
        within[order] = ranks(count) + np.repeat(used, count) < self._limit
        last = np.append(run_slot[1:] != run_slot[:-1], True)[: len(start)]
        self._second[run_slot[last]] = run_second[last]
        self._used[run_slot[last]] = (used + count)[last]
        return within

    def _grow(self, slots: int) -> None:
        """Room for slots up to the table's size, which bounds it."""
        missing = slots - len(self._second)
        if missing > 0:
            self._second = np.append(self._second, np.full(missing, -1))
            self._used = np.append(self._used, np.zeros(missing, np.int64))
