"""Closed windows: the rows that extraction yields, with whom and when they describe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Protocol

import numpy as np

from emtc_agent.packets import Float64, Int32, Int64, PacketBatch, UInt8, UInt16, UInt32, UInt64
from emtc_contract.schema import FeatureSchema


class EndpointKind(IntEnum):
    """What identifies an endpoint: values of ``Windows.kind``."""

    CAPTURE = 0  # the whole capture (the CICIoT2023 schemas)
    MAC = 1
    IP = 2
    TEID = 3
    OVERFLOW = 4  # endpoints beyond the table's capacity, taken together


class Closed(IntEnum):
    """Why a window closed: values of ``Windows.closed``."""

    FULL = 0
    TIMEOUT = 1
    END = 2


@dataclass(frozen=True, slots=True)
class Windows:
    """W closed windows in the order in which they closed.

    Attributes:
        features: (W, F) float64 in the schema's column order.
        slot: (W,) table slot of the endpoint; stable while the endpoint lives, reused after.
        kind: (W,) ``EndpointKind``.
        id_hi, id_lo: (W,) identity: MAC in ``id_lo``, or a 128-bit address (IPv4 mapped), or the TEID.
        ip_hi, ip_lo: (W,) the endpoint's own IP address where known, else 0.
        teid: (W,) GTP-U TEID where known, else 0.
        first_us, last_us: (W,) capture time of the first and last packet.
        packets: (W,) packets in the window.
        closed: (W,) ``Closed``.
        peer_hi, peer_lo: (W,) most used remote address, 0 if there is none or several are used equally.
        peer_port: (W,) service port of the last packet with that remote (or of the last packet), 0 if none.
        peer_proto: (W,) IP protocol of that packet.
    """

    features: Float64
    slot: Int32
    kind: UInt8
    id_hi: UInt64
    id_lo: UInt64
    ip_hi: UInt64
    ip_lo: UInt64
    teid: UInt32
    first_us: Int64
    last_us: Int64
    packets: Int32
    closed: UInt8
    peer_hi: UInt64
    peer_lo: UInt64
    peer_port: UInt16
    peer_proto: UInt8

    def __len__(self) -> int:
        return len(self.slot)


def empty_windows(columns: int) -> Windows:
    """No windows of a schema with ``columns`` features."""
    return Windows(
        features=np.zeros((0, columns)),
        slot=np.zeros(0, np.int32),
        kind=np.zeros(0, np.uint8),
        id_hi=np.zeros(0, np.uint64),
        id_lo=np.zeros(0, np.uint64),
        ip_hi=np.zeros(0, np.uint64),
        ip_lo=np.zeros(0, np.uint64),
        teid=np.zeros(0, np.uint32),
        first_us=np.zeros(0, np.int64),
        last_us=np.zeros(0, np.int64),
        packets=np.zeros(0, np.int32),
        closed=np.zeros(0, np.uint8),
        peer_hi=np.zeros(0, np.uint64),
        peer_lo=np.zeros(0, np.uint64),
        peer_port=np.zeros(0, np.uint16),
        peer_proto=np.zeros(0, np.uint8),
    )


def join(parts: Sequence[Windows], columns: int) -> Windows:
    """The windows of all parts, in order."""
    if not parts:
        return empty_windows(columns)
    if len(parts) == 1:
        return parts[0]
    names = [column.name for column in fields(Windows)]
    return Windows(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(slots=True)
class ExtractorStats:
    """Counters that only grow; each name is reported as it is.

    Attributes:
        packets: Packets seen.
        other: Packets without a complete decode, by ``Other`` name in lower case.
        windows: Windows closed.
        endpoints: Endpoints seen (admitted to the table).
        evicted: Endpoints removed from the table to make room or after long silence.
        spilled: Packets whose endpoint (flow, for CICIoT2023) found no room in the bounded table: endpoints without
            room are counted together as overflow, flows without room each packet by itself.
        peers_spilled: Uses of remotes and services that found no room in an endpoint's memory; they stay new.
        unattributed: Packets that belong to no endpoint (broadcast of unknown origin, non-IP without MAC).
        time_jumps: Capture times that jumped back or far ahead and were clamped.
    """

    packets: int = 0
    other: dict[str, int] = field(default_factory=dict)
    windows: int = 0
    endpoints: int = 0
    evicted: int = 0
    spilled: int = 0
    peers_spilled: int = 0
    unattributed: int = 0
    time_jumps: int = 0

    def add(self, other: ExtractorStats) -> None:
        """Add the counters of another stream."""
        for counter in fields(self):
            if counter.name != "other":
                total = getattr(self, counter.name) + getattr(other, counter.name)
                setattr(self, counter.name, total)
        for reason, number in other.other.items():
            self.other[reason] = self.other.get(reason, 0) + number


class Extractor(Protocol):
    """Packets in, closed windows out; one implementation per family of schemas.

    No I/O, no clock of its own: time is the packets' time and what ``tick`` is told. Rows are
    bit-identical however the stream is cut into batches.
    """

    schema: FeatureSchema
    stats: ExtractorStats

    def push(self, batch: PacketBatch) -> Windows:
        """Take the next packets of the stream and return the windows they closed."""
        ...

    def tick(self, ts_us: int) -> Windows:
        """Let time pass without packets, until capture time ``ts_us``; returns the windows that closes."""
        ...

    def finish(self) -> Windows:
        """End of the stream: close and return every open window."""
        ...
