"""The ``edge-v1`` extractor: packets in, closed windows of every endpoint out, in bounded memory.

Per batch: decode -> attribute packets to endpoints -> sort by endpoint -> put the records of open windows in
front -> cut into windows -> compute the closed ones, keep the records of the open ones. Keeping raw records
(at most 31 per endpoint) instead of partial sums makes the formulas plain and the rows independent of how the
stream was cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from emtc_agent.columns import Other, decode, read_hints
from emtc_agent.features.closing import ClosedSet, WindowMaker, find_closed
from emtc_agent.packets import Bool, Int64, PacketBatch, UInt8
from emtc_agent.windows.arrays import lengths
from emtc_agent.windows.attribution import Records, attribute
from emtc_agent.windows.clock import StreamClock
from emtc_agent.windows.endpoints import EndpointTable
from emtc_agent.windows.grouping import Groups, group_by_slot
from emtc_agent.windows.hashing import KeyedHash
from emtc_agent.windows.networks import DeviceNetworks
from emtc_agent.windows.pool import OpenWindows, View
from emtc_agent.windows.records import write_packets
from emtc_agent.windows.segments import window_starts
from emtc_agent.windows.windows import ExtractorStats, Windows, empty_windows, join
from emtc_contract.edge_v1 import EDGE_V1
from emtc_contract.schema import FeatureSchema

MAX_BATCH = 24_576
SWEEP_PACKETS = 4_096


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """Sizes and times of the extractor; they bound its memory.

    Attributes:
        max_endpoints: Endpoint slots; a power of two, 8 to 32,768.
        peers_per_endpoint: Remotes, and (remote, service) pairs, remembered per endpoint; a power of two.
        networks: Where devices live.
        novelty_after_s: Silent learning time of an endpoint before anything counts as new to it.
        sweep_every_s: Least stream time between two clean-ups of the tables.
        endpoint_idle_s: Silence after which an endpoint is forgotten.
        brief_packets, brief_idle_s: Endpoints with so few packets are forgotten after this shorter silence, which
            must outlast a window.
        peer_age_s, brief_peer_age_s: Ages at which a peer is forgotten; the shorter one if used only once.
        hash_key: Fixed hash key for reproducible tests; random by default.
    """

    max_endpoints: int = 2_048
    peers_per_endpoint: int = 128
    networks: DeviceNetworks = field(default_factory=DeviceNetworks)
    novelty_after_s: float = 120.0
    sweep_every_s: float = 600.0
    endpoint_idle_s: float = 86_400.0
    brief_packets: int = 32
    brief_idle_s: float = 600.0
    peer_age_s: float = 7 * 86_400.0
    brief_peer_age_s: float = 6 * 3_600.0
    hash_key: int | None = None


class EdgeExtractor:
    """Implements ``Extractor`` for ``edge-v1``."""

    schema: FeatureSchema = EDGE_V1

    def __init__(self, config: EdgeConfig | None = None) -> None:
        self.config = config or EdgeConfig()
        self.stats = ExtractorStats()
        self._clock = StreamClock()
        self._hash = KeyedHash(self.config.hash_key)
        slots = self.config.max_endpoints + 1
        self._endpoints = EndpointTable(self.config.max_endpoints)
        self._open = OpenWindows(slots, self.schema.window.packets, MAX_BATCH)
        self._quiet_since_us = np.zeros(slots, np.int64)  # stream time of the last packet before the open window
        self._maker = WindowMaker(
            slots, self.config.peers_per_endpoint, int(self.config.novelty_after_s * 1e6), self._hash
        )
        self._window_us = int((self.schema.window.seconds or 0) * 1e6)
        self._position = 0
        self._swept_us = 0

    def push(self, batch: PacketBatch) -> Windows:
        """Take the next packets of the stream and return the windows they closed."""
        return join(list(self._parts(batch)), len(self.schema.features))

    def tick(self, ts_us: int) -> Windows:
        """Let time pass without packets: close and return the windows that ended by capture time ``ts_us``."""
        now_us = self._clock.at(ts_us)
        return self._close_silent(self._expired(np.zeros(0, np.int64), now_us), np.array([now_us]))

    def finish(self) -> Windows:
        """End of the stream: close and return every open window."""
        return self._close_silent(np.flatnonzero(self._open.count), np.zeros(0, np.int64))

    def _parts(self, batch: PacketBatch) -> Iterator[Windows]:
        """Windows by parts of at most ``MAX_BATCH`` packets; tables are swept between parts where that is due."""
        clock_us = self._clock.advance(batch.ts_us)
        begin = 0
        for at in range(-self._position % SWEEP_PACKETS, len(batch), SWEEP_PACKETS):
            due = clock_us[at] - self._swept_us >= self.config.sweep_every_s * 1e6
            is_full = len(batch) - begin > MAX_BATCH and at - begin > MAX_BATCH - SWEEP_PACKETS
            if at > begin and (due or is_full):
                yield self._step(batch.slice(begin, at), clock_us[begin:at])
                begin = at
            if due:
                yield self._sweep(clock_us[at : at + 1])
        if begin < len(batch):
            yield self._step(batch.slice(begin, len(batch)), clock_us[begin:])

    def _step(self, batch: PacketBatch, clock_us: Int64) -> Windows:
        records, slots, start = self._take(batch, clock_us)
        windows = self._close(records, slots, start, clock_us)
        self._position += len(batch)
        return windows

    def _take(self, batch: PacketBatch, clock_us: Int64) -> tuple[View, Int64, Int64]:
        """The records of busy slots and of those whose time has run out; (G,) the slots; (G,) where each one's begin.

        A function of its own so that the columns are gone when windows are made: both would be in memory at once.
        """
        columns = decode(batch)
        records = attribute(columns, self.config.networks)
        self._count(columns.reason, records)
        groups = self._settle(records, clock_us)
        hints = read_hints(batch, columns)
        write_packets(columns, hints, clock_us, self._position, self._hash, self._open.room(len(batch)))
        expired = self._expired(groups.slot, int(clock_us[-1]))
        slots = np.concatenate([groups.slot, expired])
        count = np.concatenate([groups.count, np.zeros(len(expired), np.int64)])
        merged, start = self._open.merge(slots, records.side.take(groups.order), count)
        return merged, slots, start

    def _settle(self, records: Records, clock_us: Int64) -> Groups:
        """Give each record the slot of its endpoint, and sort records by slot."""
        kind = records.kind.astype(np.uint64) << np.uint64(1)  # an address uses all 128 bits that are hashed
        tag = self._hash(records.id_lo, records.id_hi) ^ kind
        clock_us = clock_us.take(records.side >> 1)
        slot = self._endpoints.slots(tag, (records.kind, records.id_hi, records.id_lo), clock_us)
        groups = group_by_slot(slot)
        self._endpoints.seen(groups.slot, groups.count, clock_us[groups.last])
        self.stats.spilled = self._endpoints.spilled
        self.stats.endpoints = self._endpoints.admitted
        return groups

    def _expired(self, busy: Int64, now_us: int) -> Int64:
        """Slots outside ``busy`` whose open window has run out of time."""
        idle = self._open.count > 0
        idle[busy] = False
        slots = np.flatnonzero(idle)
        return slots[self._open.first_clock(slots) + self._window_us <= now_us]

    def _close_silent(self, slots: Int64, clock_us: Int64) -> Windows:
        """Close the open windows of slots that have no new records; ``clock_us`` as for ``find_closed``."""
        records, start = self._open.merge(slots, np.zeros(0, np.int64), np.zeros(len(slots), np.int64))
        return self._close(records, slots, start, clock_us)

    def _close(self, records: View, slots: Int64, start: Int64, clock_us: Int64) -> Windows:
        """Cut the records of each slot into windows, return the closed ones, keep the open ones."""
        if not len(records):
            return empty_windows(len(self.schema.features))
        record_us = records.column("clock_us")
        window_start = window_starts(record_us, start, self.schema.window.packets, self._window_us)
        group = np.searchsorted(start, window_start, side="right") - 1
        slot = slots[group]
        idle_us = self._idle(record_us, window_start, start[group], slot)
        closed, key, reason = find_closed(
            records,
            record_us[window_start],
            window_start,
            slot,
            packets=self.schema.window.packets,
            window_us=self._window_us,
            clock_us=clock_us,
            base=self._position,
        )
        self.stats.windows += int(np.count_nonzero(closed))
        count = lengths(window_start, len(records))
        is_closed = np.repeat(closed, count)
        closed_count = count[closed]
        closed_set = ClosedSet(
            records.at(is_closed),
            record_us[is_closed],
            np.cumsum(closed_count) - closed_count,
            slot[closed],
            idle_us[closed],
            key[closed],
            reason[closed],
        )
        made = self._maker.make(closed_set, self._endpoints) if closed.any() else None
        self.stats.peers_spilled = self._maker.spilled
        self._open.count[slots] = 0
        self._open.keep(slot[~closed], count[~closed], records.at(~is_closed))
        self._note_quiet(record_us, slots, start, window_start, slot, ~closed)
        return made or empty_windows(len(self.schema.features))

    def _idle(self, clock_us: Int64, window_start: Int64, group_start: Int64, slot: Int64) -> Int64:
        """(W,) silence of the endpoint before each window; 0 before its first."""
        carried = self._quiet_since_us[slot]
        before = np.where(window_start > group_start, clock_us[window_start - 1], carried)
        known = (window_start > group_start) | (carried >= self._endpoints.first_us[slot])
        return np.where(known, clock_us[window_start] - before, 0)

    def _note_quiet(
        self, record_us: Int64, slots: Int64, start: Int64, window_start: Int64, slot: Int64, still_open: Bool
    ) -> None:
        """Store when each slot was last heard before its open window."""
        last = np.append(start[1:], len(record_us)) - 1
        carried = self._quiet_since_us[slot[still_open]]
        self._quiet_since_us[slots] = record_us[last]
        opened = window_start[still_open]
        first_of_slot = np.zeros(len(record_us), bool)
        first_of_slot[start] = True
        before = np.where(first_of_slot[opened], carried, record_us[opened - 1])
        self._quiet_since_us[slot[still_open]] = before

    def _sweep(self, clock_us: Int64) -> Windows:
        """Free what fell silent until (1,) ``clock_us``; called at fixed points of the stream only.

        If one of them still has a window, all that have run out of time are closed first.
        """
        now_us = int(clock_us[0])
        config = self.config
        gone = self._endpoints.silent(
            now_us, int(config.endpoint_idle_s * 1e6), config.brief_packets, int(config.brief_idle_s * 1e6)
        )
        windows = empty_windows(len(self.schema.features))
        if self._open.count[gone].any():
            windows = self._close_silent(self._expired(np.zeros(0, np.int64), now_us), clock_us)
        self._endpoints.free(gone)
        self._maker.forget(gone)
        self._maker.sweep(now_us, int(config.peer_age_s * 1e6), int(config.brief_peer_age_s * 1e6))
        self._swept_us = now_us
        self.stats.evicted = self._endpoints.evicted
        return windows

    def _count(self, reason: UInt8, records: Records) -> None:
        self.stats.packets += len(reason)
        self.stats.time_jumps = self._clock.jumps
        self.stats.unattributed += len(reason) - records.packets
        if reason.any():
            for code, number in enumerate(np.bincount(reason, minlength=len(Other)).tolist()):
                if code != Other.DECODED and number:
                    name = Other(code).name.lower()
                    self.stats.other[name] = self.stats.other.get(name, 0) + number
