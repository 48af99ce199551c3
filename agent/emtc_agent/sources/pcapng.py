"""pcapng: several sections and interfaces, each with its own link type and clock (draft-ietf-opsawg-pcapng)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

import numpy as np

from emtc_agent.packets import Bool, Int64, PacketBatch, UInt32, UInt64
from emtc_agent.sources.reader import CaptureReader, OpenFile
from emtc_contract.errors import CaptureError

MAGIC = b"\x0a\x0d\x0d\x0a"
_BYTE_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6
_PACKETS = frozenset((_OLD_PACKET, _SIMPLE, _ENHANCED))
_CONTEXTS = frozenset((_SECTION, _INTERFACE))
_LEAST_BYTES = 12
_IMPOSSIBLE = -1
_MAX_INTERFACES = 4_096
_MAX_PACKET_BLOCK = 1 << 20
_PACKET_HEADER_BYTES = 28
_SIMPLE_HEADER_BYTES = 12
_TRAILER_BYTES = 4


@dataclass(frozen=True, slots=True)
class _Interface:
    """Link type and clock of one interface; times are ``value / 10^digits`` or ``value / 2^bits`` seconds."""

    linktype: int
    snaplen: int
    digits: int | None
    bits: int | None
    offset_s: int

    def micros(self, value: UInt64) -> Int64:
        """Microseconds since 1970 of time stamps."""
        if self.bits is not None:
            whole = value >> np.uint64(self.bits)
            rest = value & np.uint64((1 << self.bits) - 1)
            keep = min(self.bits, 43)  # so that the product fits 64 bits
            part = (rest >> np.uint64(self.bits - keep)) * np.uint64(1_000_000) >> np.uint64(keep)
            micros = whole * np.uint64(1_000_000) + part
        else:
            digits = 6 if self.digits is None else self.digits
            scale = np.uint64(10 ** min(abs(digits - 6), 19))
            micros = value // scale if digits > 6 else value * scale
        return (micros & np.uint64((1 << 62) - 1)).astype(np.int64) + self.offset_s * 1_000_000


class PcapngReader(CaptureReader):
    """Reads one pcapng file."""

    def __init__(self, source: OpenFile, batch_packets: int, buffer_bytes: int) -> None:
        super().__init__(source, batch_packets, buffer_bytes)
        self._order = "<"
        self._interfaces: list[_Interface] = []
        self._last_us = 0  # simple packet blocks have no time of their own
        self._buffer.refill(0)
        if not self._section(0):
            raise CaptureError(f"{self.name}: pcapng section header is broken")

    def _read(self) -> Iterator[PacketBatch]:
        at = 0
        while True:
            blocks, at, size = self._walk(at)
            if len(blocks):
                yield from self._batch(np.array(blocks, np.int64))
            if size == _IMPOSSIBLE:
                self.stats.malformed += 1
                return
            if size and not self._read_on(at, size):
                return
            at = 0 if size else at

    def _read_on(self, at: int, size: int) -> bool:
        """Get more of the block of ``size`` bytes at ``at``, or skip it if no packet is that large."""
        if size <= _MAX_PACKET_BLOCK:
            found = self._buffer.refill(at)
            if not found:
                self._end()
            return found
        self.stats.skipped_blocks += 1
        missing = self._buffer.skip(at + size)
        self.stats.truncated += missing > 0
        return not missing

    def _walk(self, at: int) -> tuple[list[int], int, int]:
        """Packet blocks of the buffer from ``at`` up to its end, or to a block that changes how to read packets.

        Returns:
            Starts of the packet blocks; where to go on; size of the block there if it is not whole in the buffer,
            else 0, or ``_IMPOSSIBLE``.
        """
        octets, fill = self._buffer.octets, self._buffer.fill
        head = Struct(self._order + "II").unpack_from
        blocks: list[int] = []
        while at + _LEAST_BYTES <= fill:
            kind, size = head(octets.data, at)
            if kind not in _PACKETS:
                if blocks and kind in _CONTEXTS:
                    return blocks, at, 0
                if kind == _SECTION:
                    size = self._section(at)
                    head = Struct(self._order + "II").unpack_from
            if size < _LEAST_BYTES or size % 4:
                return blocks, at, _IMPOSSIBLE
            if at + size > fill:
                return blocks, at, size
            if kind in _PACKETS:
                blocks.append(at)
            elif kind == _INTERFACE:
                self._add_interface(octets[at : at + size].tobytes())
            elif kind != _SECTION:
                self.stats.skipped_blocks += 1
            at += size
        return blocks, at, _LEAST_BYTES

    def _section(self, at: int) -> int:
        """Start a new section; returns the size of its header block, 0 if it is broken."""
        octets = self._buffer.octets
        order = _BYTE_ORDERS.get(octets[at + 8 : at + 12].tobytes())
        if order is None or at + _LEAST_BYTES > self._buffer.fill:
            return 0
        self._order = order
        self._interfaces = []
        size: int = Struct(order + "I").unpack_from(octets.data, at + 4)[0]
        return size

    def _add_interface(self, block: bytes) -> None:
        if len(self._interfaces) >= _MAX_INTERFACES or len(block) < 20:
            self.stats.malformed += 1
            return
        linktype, _, snaplen = Struct(self._order + "HHI").unpack_from(block, 8)
        digits, bits, offset_s = None, None, 0
        for code, value in _options(block[16:-_TRAILER_BYTES], self._order):
            if code == 9 and value:
                digits, bits = (None, min(value[0] & 0x7F, 63)) if value[0] & 0x80 else (value[0], None)
            elif code == 14 and len(value) >= 8:
                offset_s = Struct(self._order + "q").unpack_from(value)[0]
        offset_s = offset_s if abs(offset_s) < 1 << 40 else 0
        self._interfaces.append(_Interface(linktype, snaplen, digits, bits, offset_s))

    def _batch(self, blocks: Int64) -> Iterator[PacketBatch]:
        word = np.dtype(f"{self._order}u4")
        octets = self._buffer.octets
        words = np.ndarray((len(octets) - 3,), word, buffer=octets, strides=(1,))
        simple = words[blocks] == _SIMPLE
        interface = words[blocks + 8]
        old = words[blocks] == _OLD_PACKET
        interface = np.where(old, self._old_interface(blocks), np.where(simple, 0, interface)).astype(np.int64)
        room = words[blocks + 4].astype(np.int64) - _TRAILER_BYTES
        room -= np.where(simple, _SIMPLE_HEADER_BYTES, _PACKET_HEADER_BYTES)
        known = (interface < len(self._interfaces)) & (room >= 0)
        wire = np.where(simple, words[blocks + 8], words[np.where(room >= 0, blocks + 24, 0)]).astype(np.int64)
        captured = np.where(simple, wire, words[np.where(room >= 0, blocks + 20, 0)].astype(np.int64))
        captured = np.where(
            simple & known, np.minimum(captured, np.minimum(self._snaplens(interface), room)), captured
        )
        good = known & (captured <= room)
        self.stats.malformed += int(np.count_nonzero(~good))
        blocks, interface, captured, wire, simple = (
            column[good] for column in (blocks, interface, captured, wire, simple)
        )
        if not len(blocks):
            return
        header = np.where(simple, _SIMPLE_HEADER_BYTES, _PACKET_HEADER_BYTES)
        yield PacketBatch(
            data=octets,
            start=blocks + header,
            cap_len=captured,
            wire_len=np.maximum(wire, captured),
            ts_us=self._times(words, blocks, interface, simple.astype(bool)),
            linktype=np.array([one.linktype for one in self._interfaces], np.uint16)[interface],
        )

    def _old_interface(self, blocks: Int64) -> Int64:
        """Interface of obsolete packet blocks: the first 16 bits behind the block's length."""
        octets = self._buffer.octets
        halves = np.ndarray((len(octets) - 1,), f"{self._order}u2", buffer=octets, strides=(1,))
        return halves[blocks + 8].astype(np.int64)

    def _snaplens(self, interface: Int64) -> Int64:
        """(N,) snap length of each packet's interface, unlimited if 0 or unknown."""
        limits = [one.snaplen or 1 << 31 for one in self._interfaces] or [1 << 31]
        return np.array(limits)[np.minimum(interface, len(limits) - 1)]

    def _times(self, words: UInt32, blocks: Int64, interface: Int64, simple: Bool) -> Int64:
        value = words[blocks + 12].astype(np.uint64) << np.uint64(32) | words[blocks + 16]
        ts_us = np.zeros(len(blocks), np.int64)
        for number in np.unique(interface).tolist():
            rows = interface == number
            ts_us[rows] = self._interfaces[number].micros(value[rows])
        if simple.any():
            timed = np.where(simple, -1, np.arange(len(blocks)))
            before = np.maximum.accumulate(timed)
            ts_us = np.where(before >= 0, ts_us[np.maximum(before, 0)], self._last_us)
        self._last_us = int(ts_us[-1])
        return ts_us


def _options(raw: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Options of a block: code, value; ends at the first that does not fit."""
    head = Struct(order + "HH")
    at = 0
    while at + head.size <= len(raw):
        code, size = head.unpack_from(raw, at)
        at += head.size
        if code == 0 or at + size > len(raw):
            return
        yield code, raw[at : at + size]
        at += size + -size % 4
