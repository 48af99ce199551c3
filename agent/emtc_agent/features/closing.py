"""Which windows of a batch are closed, in which order, and what they say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emtc_agent.features.edge_v1 import edge_features
from emtc_agent.packets import Bool, Float64, Int64, UInt8
from emtc_agent.windows.arrays import lengths
from emtc_agent.windows.endpoints import EndpointTable
from emtc_agent.windows.fanout import FanOut, fan_out
from emtc_agent.windows.hashing import KeyedHash
from emtc_agent.windows.peers import PeerMemory
from emtc_agent.windows.pool import View
from emtc_agent.windows.traits import BIT, count
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
        keyed: Hash of the process.
    """

    def __init__(self, slots: int, peers_per_endpoint: int, novelty_after_us: int, keyed: KeyedHash) -> None:
        self._slots = slots
        self._peers = PeerMemory(2 * slots, peers_per_endpoint)  # remotes of slot s at s, its pairs at slots + s
        self._novelty_after_us = novelty_after_us
        self._keyed = keyed

    @property
    def spilled(self) -> int:
        """Uses of remotes and pairs that found no room in the memory."""
        return self._peers.spilled

    def make(self, closed: ClosedSet, endpoints: EndpointTable) -> Windows:
        """Features and identity of closed windows, in the order in which they closed."""
        records, start = closed.records, closed.start
        packets = lengths(start, len(records))
        traits = records.column("traits")
        counts = count(traits, start)
        talks = fan_out(records, start, packets, counts[:, BIT["ported"]])
        first_us = closed.clock_us[start]
        learning = first_us - endpoints.first_us[closed.slot] < self._novelty_after_us
        new_remote, new_service = np.where(learning, 0, self._packets_of_new(talks, closed.slot, first_us))
        features = edge_features(
            records, traits, counts, closed.clock_us, start, closed.idle_us, talks, new_remote, new_service
        )
        first = records.at(start)
        by_close = np.lexsort((2 * first.column("position") - (first.side & 1), closed.key))
        return _describe(closed, features, talks, endpoints, by_close)

    def sweep(self, now_us: int, age_us: int, brief_age_us: int) -> None:
        """Forget peers that were not used for long."""
        self._peers.sweep(now_us, age_us, brief_age_us)

    def forget(self, slots: Int64) -> None:
        """Forget all peers of freed slots."""
        self._peers.forget(np.concatenate([slots, self._slots + slots]))

    def _packets_of_new(self, talks: FanOut, slot: Int64, first_us: Int64) -> Int64:
        """(2, W) packets of each window that went to a new remote, and to a new pair."""
        remotes, pairs = talks.remotes.window, talks.pairs.window
        window = np.concatenate([remotes, pairs])
        owner = np.concatenate([slot[remotes], self._slots + slot[pairs]])
        new = np.flatnonzero(self._peers.meet(owner, talks.tags(self._keyed), first_us[window]))
        window[len(remotes) :] += len(slot)
        weights = np.concatenate([talks.remotes.packets, talks.pairs.packets])[new]
        packets = np.bincount(window[new], weights=weights, minlength=2 * len(slot))
        return packets.astype(np.int64).reshape(2, -1)


def _describe(
    closed: ClosedSet, features: Float64, talks: FanOut, endpoints: EndpointTable, by_close: Int64
) -> Windows:
    start = closed.start[by_close]
    last = (np.append(closed.start[1:], len(closed.records)) - 1)[by_close]
    slot, leads = closed.slot[by_close], talks.leads[by_close].astype(np.uint64)
    peer = closed.records.at(talks.leader[by_close])
    service = peer.column("service")
    return Windows(
        features=features.take(by_close, axis=0),
        slot=slot.astype(np.int32),
        kind=endpoints.kind[slot],
        id_hi=endpoints.id_hi[slot],
        id_lo=endpoints.id_lo[slot],
        ip_hi=peer.own("address_hi"),
        ip_lo=peer.own("address_lo"),
        teid=peer.column("teid"),
        first_us=closed.records.at(start).column("ts_us"),
        last_us=closed.records.at(last).column("ts_us"),
        packets=(last - start + 1).astype(np.int32),
        closed=closed.reason[by_close],
        peer_hi=peer.column("address_hi") * leads,
        peer_lo=peer.column("address_lo") * leads,
        peer_port=service.astype(np.uint16),
        peer_proto=(service >> np.uint32(16)).astype(np.uint8),
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
    key = records.at(end - 1).column("position") * 2 + 1
    late = np.flatnonzero(expired & ~full)
    key[late] = (base + np.searchsorted(clock_us, deadline[late])) * 2
    reason = np.where(full, Closed.FULL, Closed.TIMEOUT if len(clock_us) else Closed.END).astype(np.uint8)
    return full | expired, key, reason
