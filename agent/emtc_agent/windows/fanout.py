"""Whom windows talk to: remotes, their services, and ports, counted per window.

Each window becomes a row of a table as wide as the largest window, and rows are sorted one by one. Windows of very
different sizes make two tables, so that few large ones do not widen the rows of many small ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from emtc_agent.packets import Bool, Int64, UInt8, UInt16, UInt64
from emtc_agent.windows.arrays import is_first, lengths
from emtc_agent.windows.hashing import KeyedHash
from emtc_agent.windows.pool import View
from emtc_agent.windows.remotes import NOBODY, REMOTE

_NO_REMOTE = np.uint64(1)  # neither a remote nor nobody
_TAG_SHIFT = np.uint64(18)
_NARROW = 8  # packets


@dataclass(frozen=True, slots=True)
class Uses:
    """U distinct (window, value) pairs, ordered by window.

    Attributes:
        window: (U,) window of each use.
        value: (U,) what was used; see ``remotes.py``.
        packets: (U,) packets of the window that used it.
    """

    window: Int64
    value: UInt64
    packets: Int64

    def distinct(self, windows: int) -> Int64:
        """(W,) distinct values of each window."""
        return np.bincount(self.window, minlength=windows)

    def most(self, windows: int) -> tuple[Int64, UInt64]:
        """(W,) packets and value of each window's most frequent value; ``_NO_REMOTE`` if there is none or several."""
        best = np.zeros(windows, np.int64)
        value = np.full(windows, _NO_REMOTE)
        np.maximum.at(best, self.window, self.packets)
        leads = np.flatnonzero(self.packets == best[self.window])
        value[self.window[leads]] = self.value[leads]
        value[np.bincount(self.window[leads], minlength=windows) > 1] = _NO_REMOTE
        return best, value


@dataclass(frozen=True, slots=True)
class FanOut:
    """Whom W windows talk to.

    Attributes:
        remotes: Uses of remote addresses.
        pairs: Uses of (remote, service) pairs.
        remote_ports, local_ports: (W,) distinct ports.
        top: (W,) packets of the most used remote.
        leader: (W,) last record of the one remote that is used most, or the window's last record.
        leads: (W,) whether there is such a remote.
    """

    remotes: Uses
    pairs: Uses
    remote_ports: Int64
    local_ports: Int64
    top: Int64
    leader: Int64
    leads: Bool

    def tags(self, keyed: KeyedHash) -> UInt64:
        """Tags of all remotes, then of all pairs, for ``PeerMemory``."""
        used = np.concatenate([self.remotes.value, self.pairs.value])
        return keyed(used, np.zeros_like(used)) >> _TAG_SHIFT


def fan_out(records: View, starts: Int64, packets: Int64, ported: UInt8) -> FanOut:
    """Count whom W windows talk to.

    Args:
        records: Records, window by window.
        starts: (W,) first record of each window.
        packets: (W,) records of each window.
        ported: (W,) records that have ports.
    """
    parts = [(chosen, _part(records, starts[chosen], packets[chosen], ported[chosen])) for chosen in _alike(packets)]
    if len(parts) == 1:
        return parts[0][1]
    order = np.argsort(np.concatenate([chosen for chosen, _ in parts]))

    def join(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for _, part in parts])[order]

    return FanOut(
        _join_uses([(chosen, part.remotes) for chosen, part in parts]),
        _join_uses([(chosen, part.pairs) for chosen, part in parts]),
        *(join(name) for name in ("remote_ports", "local_ports", "top", "leader", "leads")),
    )


def _alike(packets: Int64) -> Iterator[Int64 | slice]:
    """Windows that are to stand in one table."""
    if len(packets) * packets.max(initial=1) <= 2 * packets.sum():
        yield slice(None)
        return
    for chosen in (packets <= _NARROW, packets > _NARROW):
        if chosen.any():
            yield np.flatnonzero(chosen)


def _join_uses(parts: list[tuple[Int64 | slice, Uses]]) -> Uses:
    window = np.concatenate([np.asarray(chosen)[uses.window] for chosen, uses in parts])
    value = np.concatenate([uses.value for _, uses in parts])
    packets = np.concatenate([uses.packets for _, uses in parts])
    order = np.argsort(window, kind="stable")
    return Uses(window[order], value[order], packets[order])


def _part(records: View, starts: Int64, packets: Int64, ported: UInt8) -> FanOut:
    """``fan_out`` of windows of similar sizes."""
    column = np.arange(packets.max(initial=1))
    is_real = column < packets[:, None]
    rows = records.at(np.minimum(starts[:, None] + column, len(records) - 1))
    remote = rows.column("remote") | (np.uint64(0) - ~is_real)  # NOBODY beyond a window's end
    pairs = _uses(remote | rows.column("service"))
    remotes = _without_service(pairs)
    top, value = remotes.most(len(starts))
    leads = value != _NO_REMOTE
    from_end = (remote == value[:, None])[:, ::-1].argmax(axis=1)
    return FanOut(
        remotes,
        pairs,
        _distinct_ports(rows.column("port"), is_real, ported),
        _distinct_ports(rows.own("port"), is_real, ported),
        top,
        starts + np.where(leads, len(column) - 1 - from_end, packets - 1),
        leads,
    )


def _uses(rows: UInt64) -> Uses:
    """Distinct values per row, but for ``NOBODY``, the largest of all; the rows are sorted."""
    rows.sort(axis=1)
    flat = rows.reshape(-1)
    first = is_first(flat)
    first[:: rows.shape[1]] = True
    begin = np.flatnonzero(first)
    value, packets = flat.take(begin), lengths(begin, flat.size)
    real = np.flatnonzero(value != NOBODY)
    return Uses(begin[real] // rows.shape[1], value[real], packets[real])


def _without_service(pairs: Uses) -> Uses:
    """Uses of remotes, whatever the service."""
    remote = pairs.value & REMOTE
    begin = np.flatnonzero(is_first(remote) | is_first(pairs.window))
    packets = np.add.reduceat(pairs.packets, begin) if len(begin) else pairs.packets
    return Uses(pairs.window[begin], remote[begin], packets)


def _distinct_ports(rows: UInt16, is_real: Bool, ported: UInt8) -> Int64:
    """(W,) distinct ports of each row's ``ported`` records; the others' port is 0."""
    rows *= is_real
    rows.sort(axis=1)
    is_port = rows != 0
    with_port_0 = ported > is_port.sum(axis=1, dtype=np.uint8)
    is_port[:, 1:] &= rows[:, 1:] != rows[:, :-1]
    return is_port.sum(axis=1, dtype=np.uint8) + with_port_0.astype(np.int64)
