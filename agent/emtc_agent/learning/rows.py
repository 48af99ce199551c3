"""Scored windows as learning keeps them: columns, in the order in which they were scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from emtc_agent.detector import Scored
from emtc_agent.detector.calibration import Recalibration
from emtc_agent.packets import Bool, Float32, Float64, Int64, UInt8, UInt64
from emtc_agent.windows.arrays import is_first
from emtc_agent.windows.windows import Windows

Key = tuple[int, int, int]
"""Endpoint: kind, high and low part of the identity, as in ``Windows``."""


@dataclass(frozen=True, slots=True)
class Rows:
    """N windows.

    Attributes:
        features: (N, F) raw features; (N, 0) where nobody needs them.
        errors: (N, F) the bundle's errors, as if no overlay were in use.
        score: (N,) the bundle's score, likewise.
        p_value: (N,) as it was told when the window was scored, with the overlay then in use.
        kind, id_hi, id_lo: (N,) the endpoint.
        first_us, last_us: (N,) capture time of the first and last packet.
        order: (N,) number of the window among all that were seen.
    """

    features: Float32
    errors: Float32
    score: Float32
    p_value: Float64
    kind: UInt8
    id_hi: UInt64
    id_lo: UInt64
    first_us: Int64
    last_us: Int64
    order: Int64

    def __len__(self) -> int:
        return len(self.score)

    def take(self, chosen: Bool | Int64 | slice) -> Rows:
        """The rows of a mask, of indices, or of a slice."""
        return Rows(*(getattr(self, name)[chosen] for name in NAMES))

    def endpoints(self) -> list[Key]:
        """(N,) the endpoint of each row."""
        return list(zip(self.kind.tolist(), self.id_hi.tolist(), self.id_lo.tolist(), strict=True))

    def by_endpoint(self) -> list[Int64]:
        """Indices of each endpoint's rows, in the order of the rows."""
        if not len(self):
            return []
        order = np.lexsort((self.id_lo, self.id_hi, self.kind))
        return np.split(order, self.starts(order)[1:])

    def starts(self, order: Int64) -> Int64:
        """Where in ``order``, which sorts the rows by endpoint, each endpoint begins."""
        new = is_first(self.id_lo[order]) | is_first(self.id_hi[order])
        new[1:] |= self.kind[order][1:] != self.kind[order][:-1]
        return np.flatnonzero(new)


NAMES = tuple(column.name for column in fields(Rows))


def rows_of(windows: Windows, scored: Scored, first_order: int, in_use: Recalibration | None = None) -> Rows:
    """The scored windows of a batch, numbered from ``first_order``.

    Args:
        in_use: The overlay that ``scored`` was made with; its weights are taken out again.
    """
    at = scored.index
    errors, score = scored.errors, scored.score
    if in_use is not None:
        errors, score = in_use.undo(errors, score)
    return Rows(
        features=windows.features[at].astype(np.float32),
        errors=errors,
        score=score,
        p_value=scored.p_value,
        kind=windows.kind[at],
        id_hi=windows.id_hi[at],
        id_lo=windows.id_lo[at],
        first_us=windows.first_us[at],
        last_us=windows.last_us[at],
        order=np.arange(first_order, first_order + len(at), dtype=np.int64),
    )


def join(parts: Sequence[Rows]) -> Rows:
    """All rows of at least one part, in order."""
    if len(parts) == 1:
        return parts[0]
    return Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in NAMES))


def no_rows(columns: int, features: int | None = None) -> Rows:
    """No rows of a schema with ``columns`` features, of which ``features`` are kept."""
    return Rows(
        features=np.zeros((0, columns if features is None else features), np.float32),
        errors=np.zeros((0, columns), np.float32),
        score=np.zeros(0, np.float32),
        p_value=np.zeros(0, np.float64),
        kind=np.zeros(0, np.uint8),
        id_hi=np.zeros(0, np.uint64),
        id_lo=np.zeros(0, np.uint64),
        first_us=np.zeros(0, np.int64),
        last_us=np.zeros(0, np.int64),
        order=np.zeros(0, np.int64),
    )
