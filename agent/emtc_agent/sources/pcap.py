"""Classic pcap: both byte orders, microseconds and nanoseconds (draft-ietf-opsawg-pcap)."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

import numpy as np

from emtc_agent.packets import Int64, PacketBatch
from emtc_agent.sources.chain import HEADER_BYTES, find_records
from emtc_agent.sources.reader import CaptureReader, OpenFile
from emtc_contract.errors import CaptureError

MAGICS = {
    b"\xd4\xc3\xb2\xa1": ("<", 1),
    b"\xa1\xb2\xc3\xd4": (">", 1),
    b"\x4d\x3c\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\x3c\x4d": (">", 1000),
}
"""Magic -> byte order, units per microsecond."""

_FILE_HEADER = "IHHiIII"
_LINKTYPE_MASK = 0xFFFF  # the upper bits say whether frames carry a checksum


class PcapReader(CaptureReader):
    """Reads one pcap file."""

    def __init__(self, source: OpenFile, batch_packets: int, buffer_bytes: int) -> None:
        super().__init__(source, batch_packets, buffer_bytes)
        self._buffer.refill(0)
        layout = Struct("<" + _FILE_HEADER)
        if self._buffer.fill < layout.size:
            raise CaptureError(f"{self.name}: pcap file header is cut ({self._buffer.fill} of {layout.size} bytes)")
        self._order, self._per_us = MAGICS[self._buffer.octets[:4].tobytes()]
        fields = Struct(self._order + _FILE_HEADER).unpack_from(self._buffer.octets.data)
        self._linktype = fields[-1] & _LINKTYPE_MASK
        self._buffer.refill(layout.size)

    def _read(self) -> Iterator[PacketBatch]:
        while True:
            chain = find_records(self._buffer.octets, self._buffer.fill, self._order)
            for begin in range(0, len(chain.starts), self._batch_packets):
                yield self._batch(chain.starts[begin : begin + self._batch_packets])
            if chain.absurd:
                self.stats.malformed += 1
                return
            if not self._buffer.refill(chain.end):
                self._end()
                return

    def _batch(self, starts: Int64) -> PacketBatch:
        octets = self._buffer.octets
        record = np.dtype([(name, f"{self._order}u4") for name in ("seconds", "fraction", "captured", "wire")])
        rows = np.ndarray((len(octets) - HEADER_BYTES + 1,), f"V{HEADER_BYTES}", buffer=octets, strides=(1,))
        header = rows[starts].view(record)
        ts_us = header["seconds"].astype(np.int64) * 1_000_000
        ts_us += header["fraction"] // self._per_us if self._per_us > 1 else header["fraction"]
        captured = header["captured"].astype(np.int64)
        return PacketBatch(
            data=octets,
            start=starts + HEADER_BYTES,
            cap_len=captured,
            wire_len=np.maximum(header["wire"].astype(np.int64), captured),
            ts_us=ts_us,
            linktype=np.full(len(starts), self._linktype, np.uint16),
        )
