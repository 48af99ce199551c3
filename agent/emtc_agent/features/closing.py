"""Which windows of a batch are closed, in which order, and what they say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emtc_agent.features.edge_v1 import edge_features
from emtc_agent.packets import Bool, Float64, Int64, UInt8, UInt64
from emtc_agent.windows.arrays import lengths, ranks
from emtc_agent.windows.endpoints import EndpointTable
from emtc_agent.windows.peers import PeerMemory
from emtc_agent.windows.pool import View
from emtc_agent.windows.runs import Runs, cut, runs
from emtc_agent.windows.traits import has
from emtc_agent.windows.windows import Closed, Windows


@dataclass(frozen=True, slots=True)
class ClosedSet:
    """W closed windows over the records they hold.

    Attributes:
        records: Records, window by window.
        clock_us: (R,) their stream time.
        start: (W,) first record of each window.
        slot: (W,) endpoint slot; windows of one slot are in order of time.
        idle_us: (W,) silence before the window.
        key: (W,) sorts windows by the moment at which they closed.
        reason: (W,) ``Closed``.
    """

    records: View
    clock_us: Int64
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
    """

    def __init__(self, slots: int, peers_per_endpoint: int, novelty_after_us: int) -> None:
        self._slots = slots
        self._peers = PeerMemory(2 * slots, peers_per_endpoint)  # remotes of slot s at s, its pairs at slots + s
        self._novelty_after_us = novelty_after_us

    @property
    def spilled(self) -> int:
        """Uses of remotes and pairs that found no room in the memory."""
        return self._peers.spilled

    def make(self, closed: ClosedSet, endpoints: EndpointTable) -> Windows:
        """Features and identity of closed windows, in the order in which they closed."""
        records, start = closed.records, closed.start
        packets = lengths(start, len(records))
        remote = records.column("remote")
        used = _peers_of(remote, records.column("remote_service"), start, packets)
        remotes = used.before(len(closed))
        first_us = closed.clock_us[start]
        learning = first_us - endpoints.first_us[closed.slot] < self._novelty_after_us
        new_remote, new_service = np.where(learning, 0, self._packets_of_new(used, closed.slot, first_us))
        features = edge_features(
            records,
            closed.clock_us,
            start,
            closed.idle_us,
            remotes,
            new_remote,
            new_service,
        )
        leader = _leader(remotes, cut(remote), start, packets)
        by_close = np.lexsort((records.at(start).column("order"), closed.key))
        return _describe(closed, features, leader, endpoints, by_close)

    def sweep(self, now_us: int, age_us: int, brief_age_us: int) -> None:
        """Forget peers that were not used for long."""
        self._peers.sweep(now_us, age_us, brief_age_us)

    def forget(self, slots: Int64) -> None:
        """Forget all peers of freed slots."""
        self._peers.forget(np.concatenate([slots, self._slots + slots]))

    def _packets_of_new(self, used: Runs, slot: Int64, first_us: Int64) -> Int64:
        """(2, W) packets of each window that went to a new remote, and to a new pair."""
        owner = np.concatenate([slot, self._slots + slot])[used.window]
        new = self._peers.meet(owner, used.tag, np.tile(first_us, 2)[used.window])
        packets = np.bincount(used.window[new], weights=used.packets[new], minlength=2 * len(slot))
        return packets.astype(np.int64).reshape(2, -1)


def _peers_of(remote: UInt64, pair: UInt64, start: Int64, packets: Int64) -> Runs:
    """Remotes of the W windows, as windows 0 to W - 1, and (remote, service) pairs, as windows W to 2W - 1."""
    return runs(np.concatenate([remote, pair]), np.concatenate([start, start + len(remote)]), np.tile(packets, 2))


def _leader(remotes: Runs, tag: UInt64, start: Int64, packets: Int64) -> tuple[Int64, Bool]:
    """(W,) the last record of each window's leading remote, or its last record; (W,) whether a remote leads."""
    _, best = remotes.most(len(start))
    wanted = np.repeat(np.where(best == 0, np.uint64(1 << 63), best), packets)  # no tag is that large
    last = np.maximum.reduceat(np.where(tag == wanted, np.arange(len(tag)), -1), start)
    leads = last >= 0
    return np.where(leads, last, start + packets - 1), leads


def _describe(
    closed: ClosedSet, features: Float64, leader: tuple[Int64, Bool], endpoints: EndpointTable, by_close: Int64
) -> Windows:
    start = closed.start[by_close]
    last = (np.append(closed.start[1:], len(closed.records)) - 1)[by_close]
    slot, leads = closed.slot[by_close], leader[1][by_close].astype(np.uint64)
    peer = closed.records.at(leader[0][by_close])
    up = has(peer.column("traits"), "up")
    src_hi, src_lo, dst_hi, dst_lo = (peer.column(name) for name in ("src_hi", "src_lo", "dst_hi", "dst_lo"))
    return Windows(
        features=features[by_close],
        slot=slot.astype(np.int32),
        kind=endpoints.kind[slot],
        id_hi=endpoints.id_hi[slot],
        id_lo=endpoints.id_lo[slot],
        ip_hi=np.where(up, src_hi, dst_hi),
        ip_lo=np.where(up, src_lo, dst_lo),
        teid=peer.column("teid"),
        first_us=closed.records.at(start).column("ts_us"),
        last_us=closed.records.at(last).column("ts_us"),
        packets=(last - start + 1).astype(np.int32),
        closed=closed.reason[by_close],
        peer_hi=np.where(up, dst_hi, src_hi) * leads,
        peer_lo=np.where(up, dst_lo, src_lo) * leads,
        peer_port=peer.column("service"),
        peer_proto=peer.column("proto"),
    )


def find_closed(
    records: View,
    first_us: Int64,
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
        first_us: (W,) stream time of the first record of each window.
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
    deadline = first_us + window_us
    followed = np.append(slot[1:] == slot[:-1], False)
    expired = followed | (deadline <= clock_us[-1]) if len(clock_us) else np.ones(len(start), bool)
    timeout_at = (base + np.searchsorted(clock_us, deadline)) * 2
    full_at = records.at(end - 1).column("order") // 2 * 2 + 1
    key = np.where(full, full_at, timeout_at)
    reason = np.where(full, Closed.FULL, Closed.TIMEOUT if len(clock_us) else Closed.END).astype(np.uint8)
    return full | expired, key, reason


def select(start: Int64, records: int, chosen: Bool) -> tuple[Int64, Int64]:
    """Which of the records the chosen windows hold, and (W',) how many each.

    Args:
        start: (W,) first record of each window.
        records: Number of records.
        chosen: (W,) which windows.
    """
    count = lengths(start, records)[chosen]
    return np.repeat(start[chosen], count) + ranks(count), count
