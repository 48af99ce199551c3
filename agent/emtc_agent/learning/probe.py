"""Attacks that the exporter made up out of benign rows, in every bundle: how many a calibration still sees.

A site's benign traffic says nothing about what its calibration has become blind for; these say something. On real
attack captures the two go together (docs/decisions/019-learning.md).
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emtc_agent.detector import Runtime, read_member
from emtc_agent.detector.calibration import Recalibration, p_values
from emtc_agent.packets import Float32
from emtc_contract.bundle import CHECK_ROWS
from emtc_contract.errors import BundleError

_ATTACK = 1  # emtc_export.check_rows.ATTACK
_MOST_ROWS = 4_096
_SEEN_P = 0.01


@dataclass(frozen=True, slots=True)
class Probe:
    """N made-up attacks, scored.

    Attributes:
        errors: (N, F).
        score: (N,).
    """

    errors: Float32
    score: Float32

    def seen(self, site: Recalibration) -> float:
        """Share with p-values up to 1 %."""
        _, score = site.apply(self.errors, self.score)
        p_value = p_values(score.astype(np.float64), (site.scores, site.shares))
        return round(float(np.mean(p_value <= _SEEN_P)), 4)


def read_probe(bundle: Path, runtime: Runtime, columns: int) -> Probe:
    """Score a bundle's made-up attacks; raises BundleError if it has none."""
    raw = read_member(bundle, CHECK_ROWS)
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as held:
            rows, kind = held["rows"], held["kind"]
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(f"{bundle}: {CHECK_ROWS}: not readable: {error}") from None
    if rows.ndim != 2 or rows.shape[1] != columns or kind.shape != rows.shape[:1] or not (kind == _ATTACK).any():
        raise BundleError(f"{bundle}: {CHECK_ROWS}: holds no attacks of {columns} features")
    scores = runtime.run(rows[kind == _ATTACK][:_MOST_ROWS].astype(np.float32))
    return Probe(scores.errors, scores.score)
