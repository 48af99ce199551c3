"""A fixed read buffer that is filled again and again; mapped files would count as memory, this does not."""

from __future__ import annotations

import zlib
from io import RawIOBase

import numpy as np

from emtc_agent.packets import GUARD_BYTES

BUFFER_BYTES = 5 << 20
SMALL_BUFFER_BYTES = 5 << 18  # still holds the largest packet block
_READ_BYTES = 1 << 18  # at once: all that is held in memory beside the buffer while gzip is unpacked


class ReadBuffer:
    """Bytes of a stream, front to back, ``size_bytes`` at a time.

    Attributes:
        octets: (size + GUARD_BYTES,) uint8; ``octets[:fill]`` is valid.
        fill: Valid bytes.
        ended: Whether the stream has no more bytes.
        damage: What went wrong if the stream ended in an error (cut or corrupt gzip), else empty.
    """

    def __init__(self, stream: RawIOBase, size_bytes: int) -> None:
        self.octets = np.zeros(size_bytes + GUARD_BYTES, np.uint8)
        self.fill = 0
        self.ended = False
        self.damage = ""
        self._stream = stream
        self._size = size_bytes
        self._view = self.octets.data

    def refill(self, consumed: int) -> bool:
        """Drop the first ``consumed`` bytes and read on; returns whether any byte was added."""
        rest = self.fill - consumed
        if consumed:
            self.octets[:rest] = self.octets[consumed : self.fill].copy()
        self.fill = rest
        while not self.ended and self.fill < self._size:
            added = self._read()
            self.fill += added
            self.ended = not added
        return self.fill > rest

    def skip(self, size_bytes: int) -> int:
        """Drop bytes that may lie beyond the buffer, without keeping them; returns how many were missing."""
        while size_bytes > 0 and not (self.ended and not self.fill):
            step = min(size_bytes, self.fill)
            self.refill(step)
            size_bytes -= step
        return size_bytes

    def _read(self) -> int:
        try:
            return self._stream.readinto(self._view[self.fill : min(self.fill + _READ_BYTES, self._size)]) or 0
        except (EOFError, zlib.error, OSError) as error:
            self.damage = str(error)
            return 0
