"""Which windows of a batch are closed, in which order, and what they say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emtc_agent.features.edge_v1 import Runs, edge_features, runs
from emtc_agent.packets import Bool, Float64, Int64, UInt8, UInt64
from emtc_agent.windows.arrays import ranks
from emtc_agent.windows.endpoints import EndpointTable
from emtc_agent.windows.hashing import KeyedHash
from emtc_agent.windows.peers import PeerMemory
from emtc_agent.windows.pool import Pool
from emtc_agent.windows.windows import Closed, Windows

_PEER_TAG = np.uint64(18)  # Runs keep the upper 46 bits of a hash


@dataclass(frozen=True, slots=True)
class ClosedSet:
    """W closed windows over the records they hold.

    Attributes:
        records: Records, window by window.
        start: (W,) first record of each window.
        slot: (W,) endpoint slot; windows of one slot are in order of time.
        idle_us: (W,) silence before the window.
        key: (W,) sorts windows by the moment at which they closed.
        reason: (W,) ``Closed``.
    """

    records: Pool
    start: Int64
    slot: Int64
    idle_us: Int64
    key: Int64
    reason: UInt8

    def __len__(self) -> int:
        return len(self.start)


class WindowMaker:
    """Turns closed sets into ``Windows``; owns what endpoints have talked to before.

    Args:
        slots: Endpoint slots.
        peers_per_endpoint: Remotes, and (remote, service) pairs, remembered per slot.
        novelty_after_us: Silent learning time of an endpoint.
        keyed: Hash of the process.
    """

    def __init__(self, slots: int, peers_per_endpoint: int, novelty_after_us: int, keyed: KeyedHash) -> None:
        self.remotes = PeerMemory(slots, peers_per_endpoint)
        self.services = PeerMemory(slots, peers_per_endpoint)
        self._novelty_after_us = novelty_after_us
        self._hash = keyed

    def make(self, closed: ClosedSet, endpoints: EndpointTable) -> Windows:
        """Features and identity of closed windows, in the order in which they closed."""
        records, start = closed.records, closed.start
        window = np.repeat(np.arange(len(closed)), np.diff(start, append=len(records)))
        remote_tag = self._hash(records.remote_lo, records.remote_hi)
        has_remote = (records.remote_lo | records.remote_hi) != 0
        remotes = _runs_where(has_remote, window, remote_tag)
        service = records.service.astype(np.uint64) | (records.proto.astype(np.uint64) << np.uint64(16))
        services = _runs_where(has_remote, window, self._hash(remote_tag, service))
        first_us = records.clock_us[start]
        learning = first_us - endpoints.first_us[closed.slot] < self._novelty_after_us
        features = edge_features(
            records,
            start,
            closed.idle_us,
            remotes,
            _packets_of_new(self.remotes, remotes, closed.slot, first_us, learning),
            _packets_of_new(self.services, services, closed.slot, first_us, learning),
        )
        peer, leads = _peer_record(remotes, remote_tag >> _PEER_TAG, has_remote, window, start)
        by_close = np.lexsort((records.order[start], closed.key))
        return _describe(closed, features, (peer, leads), endpoints, by_close)

    def sweep(self, now_us: int, age_us: int, brief_age_us: int) -> None:
        """Forget peers that were not used for long."""
        self.remotes.sweep(now_us, age_us, brief_age_us)
        self.services.sweep(now_us, age_us, brief_age_us)

    def forget(self, slots: Int64) -> None:
        """Forget all peers of freed slots."""
        self.remotes.forget(slots)
        self.services.forget(slots)


def _runs_where(mask: Bool, window: Int64, tag: UInt64) -> Runs:
    return runs(window, tag) if mask.all() else runs(window[mask], tag[mask])


def _packets_of_new(memory: PeerMemory, used: Runs, slot: Int64, first_us: Int64, learning: Bool) -> Int64:
    """(W,) packets of each window that went to something new; 0 while the endpoint is learning."""
    new = memory.meet(slot[used.window], used.tag, first_us[used.window])
    packets = np.bincount(used.window[new], weights=used.packets[new], minlength=len(slot))
    return np.where(learning, 0, packets.astype(np.int64))


def _peer_record(remotes: Runs, tag: UInt64, has_remote: Bool, window: Int64, start: Int64) -> tuple[Int64, Bool]:
    """(W,) the last record of each window's leading remote, or its last record; (W,) whether a remote leads."""
    _, best = remotes.most(len(start))
    index = np.where((tag == best[window]) & has_remote & (best[window] != 0), np.arange(len(tag)), -1)
    last = np.maximum.reduceat(index, start)
    leads = last >= 0
    return np.where(leads, last, np.append(start[1:], len(tag)) - 1), leads


def _describe(
    closed: ClosedSet, features: Float64, leader: tuple[Int64, Bool], endpoints: EndpointTable, by_close: Int64
) -> Windows:
    records = closed.records
    start = closed.start[by_close]
    last = (np.append(closed.start[1:], len(records)) - 1)[by_close]
    slot, peer, leads = closed.slot[by_close], leader[0][by_close], leader[1][by_close].astype(np.uint64)
    return Windows(
        features=features[by_close],
        slot=slot.astype(np.int32),
        kind=endpoints.kind[slot],
        id_hi=endpoints.id_hi[slot],
        id_lo=endpoints.id_lo[slot],
        ip_hi=records.own_hi[peer],
        ip_lo=records.own_lo[peer],
        teid=records.teid[peer],
        first_us=records.ts_us[start],
        last_us=records.ts_us[last],
        packets=(last - start + 1).astype(np.int32),
        closed=closed.reason[by_close],
        peer_hi=records.remote_hi[peer] * leads,
        peer_lo=records.remote_lo[peer] * leads,
        peer_port=records.service[peer],
        peer_proto=records.proto[peer],
    )


def find_closed(
    records: Pool,
    start: Int64,
    slot: Int64,
    *,
    packets: int,
    window_us: int,
    clock_us: Int64,
    base: int,
) -> tuple[Bool, Int64, UInt8]:
    """Which windows are closed, and when.

    Args:
        records: Records, window by window.
        start: (W,) first record of each window.
        slot: (W,) slot of each window; equal slots stand together.
        packets, window_us: The window's limits.
        clock_us: (N,) stream time of the batch's packets; empty at the end of the stream.
        base: Position in the stream of the batch's first packet.

    Returns:
        (W,) closed or not; (W,) key of the moment it closed; (W,) ``Closed``.
    """
    end = np.append(start[1:], len(records))
    full = end - start == packets
    deadline = records.clock_us[start] + window_us
    followed = np.append(slot[1:] == slot[:-1], False)
    expired = followed | (deadline <= clock_us[-1]) if len(clock_us) else np.ones(len(start), bool)
    timeout_at = (base + np.searchsorted(clock_us, deadline)) * 2
    full_at = records.order[end - 1] // 2 * 2 + 1
    key = np.where(full, full_at, timeout_at)
    reason = np.where(full, Closed.FULL, Closed.TIMEOUT if len(clock_us) else Closed.END).astype(np.uint8)
    return full | expired, key, reason


def select(records: Pool, start: Int64, chosen: Bool) -> tuple[Pool, Int64]:
    """The records of the chosen windows, and where those windows now start."""
    count = np.diff(start, append=len(records))
    kept = count[chosen]
    index = np.repeat(start[chosen], kept) + ranks(kept)
    return records.take(index), np.cumsum(kept) - kept
