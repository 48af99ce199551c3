"""Checks on a recording: does the capture bear out its labels?"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct("<IIII")
_FILE_HEADER_BYTES = 24


@dataclass(frozen=True)
class Capture:
    """Time and IPv4 (or ARP) addresses of each packet of a recording on Ethernet."""

    rows: list[tuple[int, bytes, bytes]]

    @classmethod
    def read(cls, path: Path) -> Capture:
        """Read a recording; a packet cut at the end is left out."""
        raw = path.read_bytes()
        rows = []
        at = _FILE_HEADER_BYTES
        while at + _HEADER.size <= len(raw):
            seconds, micros, captured, _ = _HEADER.unpack_from(raw, at)
            frame = raw[at + _HEADER.size : at + _HEADER.size + captured]
            at += _HEADER.size + captured
            source, destination = _addresses(frame)
            rows.append((seconds * 1_000_000 + micros, source, destination))
        return cls(rows)

    @property
    def packets(self) -> int:
        """Number of packets."""
        return len(self.rows)

    @property
    def seconds(self) -> float:
        """Time from the first to the last packet."""
        return (self.rows[-1][0] - self.rows[0][0]) / 1e6 if self.rows else 0.0

    def count(self, address: str, start_us: int, end_us: int) -> int:
        """Packets from or to an address in a time range."""
        wanted = ipaddress.IPv4Address(address).packed
        return sum(start_us <= ts <= end_us and wanted in (src, dst) for ts, src, dst in self.rows)


def _addresses(frame: bytes) -> tuple[bytes, bytes]:
    if frame[12:14] == b"\x08\x06":
        return frame[28:32], frame[38:42]
    return frame[26:30], frame[30:34]
