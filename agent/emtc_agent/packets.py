"""A batch of captured packets: raw bytes plus where each packet lies in them.

Every source (file or live ring) yields ``PacketBatch``; everything downstream reads it. The bytes are not
copied: ``data`` may be a reused read buffer, so a batch is valid only until the next one is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]
UInt64 = npt.NDArray[np.uint64]
UInt32 = npt.NDArray[np.uint32]
UInt16 = npt.NDArray[np.uint16]
UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

GUARD_BYTES = 512
"""Readable bytes that every source keeps behind the last packet, so fixed-width gathers stay in bounds."""


@dataclass(frozen=True, slots=True)
class PacketBatch:
    """N packets in stream order.

    Attributes:
        data: Bytes that hold the packets; at least ``GUARD_BYTES`` readable bytes follow the last packet.
        start: (N,) index in ``data`` of the first captured byte of each packet.
        cap_len: (N,) captured bytes.
        wire_len: (N,) bytes on the wire, never less than ``cap_len``.
        ts_us: (N,) capture time, microseconds since 1970 (UTC); nanoseconds are cut off.
        linktype: (N,) pcap LINKTYPE_ number of each packet.
    """

    data: Bytes
    start: Int64
    cap_len: Int64
    wire_len: Int64
    ts_us: Int64
    linktype: UInt16

    def __len__(self) -> int:
        return len(self.start)

    def slice(self, begin: int, end: int) -> PacketBatch:
        """Packets ``begin`` to ``end`` (exclusive) over the same bytes."""
        cut = slice(begin, end)
        return PacketBatch(
            self.data,
            self.start[cut],
            self.cap_len[cut],
            self.wire_len[cut],
            self.ts_us[cut],
            self.linktype[cut],
        )

    def take(self, rows: Int64) -> PacketBatch:
        """The packets ``rows`` (K,) over the same bytes."""
        return PacketBatch(
            self.data,
            self.start[rows],
            self.cap_len[rows],
            self.wire_len[rows],
            self.ts_us[rows],
            self.linktype[rows],
        )
