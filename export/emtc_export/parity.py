"""Parity gates: what must hold between a trained model and its exported form before a bundle is written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from emtc_agent.detector import Runtime
from emtc_agent.packets import Float32, Float64
from emtc_contract.errors import BundleError
from emtc_trainer.model import Detector

MAX_SCORE_DRIFT = 1e-5
BATCHES = (0, 1, 33, 10_000)
_HOSTILE = (np.nan, np.inf, -np.inf, 3e38, -3e38, 1e9, -1.0)


@dataclass(frozen=True, slots=True)
class Parity:
    """What was measured.

    Attributes:
        rows: Rows compared.
        score_drift: Largest relative difference of a score.
        flips: Rows whose verdict at the threshold differs.
    """

    rows: int
    score_drift: float
    flips: int


def check(module: Detector, runtime: Runtime, rows: Float32, threshold: float) -> Parity:
    """Compare an exported model with the trained one.

    Args:
        module: The trained network.
        runtime: Runs the exported model.
        rows: (N, F) raw rows from real traffic.
        threshold: Score that separates, of the exported model.

    Raises:
        BundleError: A gate does not hold; says which and by how much.
    """
    where = runtime.artifact.file
    tested = np.concatenate([rows, hostile_rows(rows[0])])
    expected, got = _torch_scores(module, tested), runtime.run(tested).score.astype(np.float64)
    if not np.isfinite(got).all():
        raise BundleError(f"{where}: {int((~np.isfinite(got)).sum())} scores are not finite")
    drift = float(np.max(np.abs(got - expected) / np.maximum(np.abs(expected), 1e-6)))
    if drift > MAX_SCORE_DRIFT:
        raise BundleError(f"{where}: scores differ by {drift:.2e} of their value, allowed {MAX_SCORE_DRIFT:.0e}")
    flips = int(((got > threshold) != (expected > threshold)).sum())
    _check_hostile(got[len(rows) :], threshold, where)
    _check_batches(runtime, rows, got[: len(rows)], where)
    return Parity(len(tested), drift, flips)


def hostile_rows(row: Float32) -> Float32:
    """Rows no extractor should give: a real one with a value replaced, feature by feature, and all of them."""
    made = []
    for value in _HOSTILE:
        everywhere = np.full_like(row, value)
        single = np.repeat(row[None], len(row), axis=0)
        np.fill_diagonal(single, value)
        made += [everywhere[None], single]
    return np.concatenate(made)


def _check_hostile(scores: Float64, threshold: float, where: str) -> None:
    """Rows that are far out everywhere must be found unusual, not only be finite."""
    columns = len(scores) // len(_HOSTILE) - 1
    everywhere = scores[:: columns + 1][: len(_HOSTILE) - 1]  # all -1 is odd, but not far out
    if not (everywhere > threshold).all():
        raise BundleError(f"{where}: a row of {_HOSTILE[int(np.argmin(everywhere))]} scores below the threshold")


def _check_batches(runtime: Runtime, rows: Float32, expected: Float64, where: str) -> None:
    """The same row must score the same in a batch of any size."""
    for size in BATCHES:
        index = np.arange(size) % len(rows)
        got = runtime.run(rows[index]).score
        if got.shape != (size,) or not np.allclose(got, expected[index], rtol=MAX_SCORE_DRIFT, atol=0):
            raise BundleError(f"{where}: scores in a batch of {size} rows differ from those of other batches")


def _torch_scores(module: Detector, rows: Float32) -> Float64:
    with torch.no_grad():
        score: torch.Tensor = module(torch.from_numpy(rows))[0]
    return score.numpy().astype(np.float64)
