"""Checks on a recording: does the capture bear out its labels?"""

from __future__ import annotations

import bisect
import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ETHERNET, RAW_IP = 1, 101
_GTPU_PORT = (2152).to_bytes(2, "big")
_GTPU_HEADERS = 14 + 20 + 8 + 8
FILE_HEADER = struct.Struct("<IHHiIII")
RECORD_HEADER = struct.Struct("<IIII")


@dataclass(frozen=True)
class Record:
    """One packet of a recording: time, captured bytes, length on the wire."""

    ts_us: int
    data: bytes
    wire_bytes: int


def read_records(path: Path) -> tuple[int, Iterator[Record]]:
    """Link type and packets of a recording; a packet cut at the end is left out."""
    raw = path.read_bytes()
    return FILE_HEADER.unpack_from(raw)[6], _records(raw)


def _records(raw: bytes) -> Iterator[Record]:
    at = FILE_HEADER.size
    while at + RECORD_HEADER.size <= len(raw):
        seconds, micros, captured, size = RECORD_HEADER.unpack_from(raw, at)
        at += RECORD_HEADER.size + captured
        if at <= len(raw):
            yield Record(seconds * 1_000_000 + micros, raw[at - captured : at], size)


def addresses(data: bytes, linktype: int) -> set[bytes]:
    """MACs and IPv4 addresses a packet carries (of ARP, sender and target; of GTP-U, the inner ones)."""
    if data[36:38] == _GTPU_PORT and data[12:14] == b"\x08\x00" and linktype == ETHERNET:
        data, linktype = data[_GTPU_HEADERS:], RAW_IP
    if linktype == RAW_IP:
        return {data[12:16], data[16:20]} if data[:1] == b"\x45" else set()
    macs = {data[:6], data[6:12]}
    if data[12:14] == b"\x08\x06":
        return {data[28:32], data[38:42], *macs}
    return {data[26:30], data[30:34], *macs} if data[12:14] == b"\x08\x00" else macs


@dataclass(frozen=True)
class Capture:
    """Time and addresses of each packet of a recording, in order of time."""

    ts_us: list[int]
    names: list[set[bytes]]
    wire_bytes: int

    @classmethod
    def read(cls, path: Path) -> Capture:
        """Read a recording."""
        linktype, records = read_records(path)
        rows = sorted(((r.ts_us, addresses(r.data, linktype), r.wire_bytes) for r in records), key=lambda row: row[0])
        return cls([ts for ts, _, _ in rows], [names for _, names, _ in rows], sum(size for _, _, size in rows))

    @property
    def packets(self) -> int:
        """Number of packets."""
        return len(self.ts_us)

    @property
    def seconds(self) -> float:
        """Time from the first to the last packet."""
        return (self.ts_us[-1] - self.ts_us[0]) / 1e6 if self.ts_us else 0.0

    def count(self, groups: list[list[str]], start_us: int, end_us: int) -> int:
        """Packets in a time range that carry an address (IPv4 or MAC) of every group."""
        packed = [{_packed(name) for name in group} for group in groups]
        first, last = bisect.bisect_left(self.ts_us, start_us), bisect.bisect_right(self.ts_us, end_us)
        return sum(all(names & group for group in packed) for names in self.names[first:last])


def _packed(name: str) -> bytes:
    return bytes.fromhex(name.replace(":", "")) if ":" in name else ipaddress.IPv4Address(name).packed
