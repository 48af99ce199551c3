"""Which rows have been seen before, for tens of millions of them: eight bytes each."""

from __future__ import annotations

import numpy as np

from emtc_agent.packets import Bool, Float32, Int64, UInt64

_LABEL_BITS = 7
_MIX = np.uint64(0x9E3779B97F4A7C15)


class SeenRows:
    """Remembers rows by 57 bits of a hash, and the class they came with.

    Among 46 million different rows two fall together with a probability of 0.7 %: one row in all would be lost.
    Memory is 8 bytes a row, twice that for the moment of a merge.

    Attributes:
        repeated: Rows that had been seen before.
        contradicted: Those of them that had been seen with another label.
    """

    def __init__(self) -> None:
        self.repeated = 0
        self.contradicted = 0
        self._sorted: list[UInt64] = []
        self._codes: dict[str, int] = {}

    def first_of(self, features: Float32, label: np.ndarray) -> Bool:
        """(N,) whether a row is seen for the first time; remembers all.

        Args:
            features: (N, F) rows.
            label: (N,) their classes, 127 at most over all calls.
        """
        entry = _hash(features) << np.uint64(_LABEL_BITS) | self._label_codes(label)
        key = entry >> np.uint64(_LABEL_BITS)
        _, first = np.unique(key, return_index=True)
        is_first = np.zeros(len(key), bool)
        is_first[first] = True
        known_label = np.full(len(key), -1, np.int64)
        self._look_up(key[first], first, known_label)
        is_first &= known_label < 0
        self._count(entry, key, is_first, known_label)
        self._add(np.sort(entry[is_first]))
        return is_first

    def _label_codes(self, label: np.ndarray) -> UInt64:
        codes = [self._codes.setdefault(name, len(self._codes)) for name in label.tolist()]
        if len(self._codes) > 1 << _LABEL_BITS:
            raise ValueError("more than 128 classes")
        return np.array(codes, np.uint64)

    def _look_up(self, key: UInt64, place: Int64, found: Int64) -> None:
        """Write the label codes of known keys (ascending) to their places."""
        for table in self._sorted:
            at = np.searchsorted(table, key << np.uint64(_LABEL_BITS))
            entry = table[np.minimum(at, len(table) - 1)]
            hit = (entry >> np.uint64(_LABEL_BITS)) == key
            found[place[hit]] = (entry[hit] & np.uint64((1 << _LABEL_BITS) - 1)).astype(np.int64)

    def _count(self, entry: UInt64, key: UInt64, is_first: Bool, known_label: Int64) -> None:
        """Repeated rows, and those whose first sight had another label."""
        _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        code = (entry & np.uint64((1 << _LABEL_BITS) - 1)).astype(np.int64)
        original = np.where(known_label[first] >= 0, known_label[first], code[first])[inverse]
        self.repeated += int((~is_first).sum())
        self.contradicted += int((~is_first & (code != original)).sum())

    def _add(self, table: UInt64) -> None:
        """Keep few tables, each at least twice as large as the next."""
        if not len(table):
            return
        while self._sorted and len(self._sorted[-1]) < 2 * len(table):
            table = np.sort(np.concatenate([self._sorted.pop(), table]), kind="stable")
        self._sorted.append(table)


def _hash(features: Float32) -> UInt64:
    """(N,) hashes; -0 counts as 0."""
    bits = np.ascontiguousarray(features + np.float32(0)).view(np.uint32).astype(np.uint64)
    total = np.zeros(len(features), np.uint64)
    for column in bits.T:
        total = (total ^ column) * _MIX
        total ^= total >> np.uint64(29)
    return total >> np.uint64(_LABEL_BITS)
