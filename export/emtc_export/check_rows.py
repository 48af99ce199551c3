"""Rows with the scores of the trained network: what every exported form is held against, here and on a gateway."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from emtc_agent.packets import Bool, Float32, Float64, Int64
from emtc_contract.errors import BundleError

BENIGN, ATTACK, FAR_OUT, ODD = range(4)
MAX_SCORE_DRIFT = 1e-5
_FAR_VALUES = (np.nan, np.inf, -np.inf, 3e38, -3e38, 1e9)
_ODD_VALUES = (-1.0, 1e-42)
_MADE_BY = ("shift", "swap", "burst")
_MAX_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class CheckRows:
    """N rows.

    Attributes:
        rows: (N, F) raw features.
        kind: (N,) ``BENIGN``; ``ATTACK``; ``FAR_OUT``, which no extractor gives, in all features or in one; ``ODD``,
            impossible but near.
        score: (N,) score of the trained network, computed in float64.
        threshold: Its threshold.
        drift: Largest relative difference from ``score`` that is rounding: more where ``score`` is rounded as well.
    """

    rows: Float32
    kind: Int64
    score: Float64
    threshold: float
    drift: float = MAX_SCORE_DRIFT

    def of_kind(self, *kinds: int) -> Bool:
        """(N,) which rows are of one of these kinds."""
        return np.isin(self.kind, kinds)

    def encode(self) -> bytes:
        """The same rows give the same bytes."""
        output = io.BytesIO()
        kind = self.kind.astype(np.int8)
        np.savez(output, rows=self.rows, kind=kind, score=self.score, threshold=np.float64(self.threshold))
        return output.getvalue()


def decode(raw: bytes, columns: int, where: str) -> CheckRows:
    """The rows in ``check.npz``; raises BundleError if it holds anything else."""
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as held:
            rows, kind, score, threshold = (held[name] for name in ("rows", "kind", "score", "threshold"))
    except Exception as error:  # numpy and zipfile raise whatever they meet
        raise BundleError(f"{where}: not readable: {error}") from None
    whole = rows.ndim == 2 and rows.shape[1] == columns and len(rows) == len(kind) == len(score) <= _MAX_ROWS
    if not whole or rows.dtype != np.float32 or threshold.ndim:
        raise BundleError(f"{where}: holds rows of shape {rows.shape} for {columns} features")
    return CheckRows(rows, kind.astype(np.int64), score.astype(np.float64), float(threshold))


def make(benign: Float32, seed: int) -> tuple[Float32, Int64]:
    """Rows and kinds out of benign rows: themselves, as many attacks made of them, and rows no extractor gives."""
    attacks = _attacks(benign, np.random.default_rng(seed))
    far_out, odd = _replaced(benign[0], _FAR_VALUES), _replaced(benign[0], _ODD_VALUES)
    parts = {BENIGN: benign, ATTACK: attacks, FAR_OUT: far_out, ODD: odd}
    kind = np.repeat(list(parts), [len(part) for part in parts.values()])
    return np.concatenate(list(parts.values())), kind


def _attacks(benign: Float32, rng: np.random.Generator) -> Float32:
    """Changed benign rows: features shifted, taken from other rows, or risen; near the threshold and far from it."""
    rows, spread = benign.copy(), benign.std(axis=0) + 1e-3
    way = rng.integers(0, len(_MADE_BY), len(rows))
    touched = rng.random(rows.shape) < rng.choice([0.1, 0.3], (len(rows), 1))
    size = spread * rng.choice([1.0, 3.0, 10.0], (len(rows), 1))
    changed = {
        "shift": rows + size * rng.standard_normal(rows.shape),
        "swap": rows[rng.permutation(len(rows))],
        "burst": rows + size * rng.exponential(1.0, rows.shape),
    }
    for number, name in enumerate(_MADE_BY):
        rows = np.where(touched & (way == number)[:, None], changed[name], rows)
    return rows.astype(np.float32)


def _replaced(row: Float32, values: tuple[float, ...]) -> Float32:
    """Each value in all features at once, then in one after the other."""
    made = []
    for value in values:
        single = np.repeat(row[None], len(row), axis=0)
        np.fill_diagonal(single, value)
        made += [np.full_like(row, value)[None], single]
    return np.concatenate(made)
