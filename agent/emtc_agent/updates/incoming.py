"""The one bundle that is on its way: its file, what of it is there, and its digest at the end.

Pieces are on disk before they count as received, so that a power cut costs the last piece at most. What belongs to
another announcement, or turns out damaged, is removed.
"""

from __future__ import annotations

import hashlib
import os
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec

from emtc_agent.detector.signature import SUFFIX
from emtc_agent.durable import sync_folder, write_durably
from emtc_contract.errors import BundleError, MessageError
from emtc_contract.updates import MAX_CHUNKS, Announcement, chunk_argument

_BUNDLE, _RECORD = "incoming.bundle", "incoming.json"
_HASHED_BYTES = 1 << 20
_MAX_RECORD_BYTES = 8_192


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``incoming.json``: what the file is a part of, and which chunks it holds (bits of a number in hex)."""

    sha256: str
    size_bytes: int
    chunk_bytes: int | None
    received: Annotated[str, msgspec.Meta(max_length=MAX_CHUNKS // 4, pattern="^[0-9a-f]+$")] = "0"


class Incoming:
    """The file of an announced bundle, in a folder that holds no other such file.

    Args:
        folder: Where; it exists.
        announcement: What is expected; what is there of it already is kept.

    Attributes:
        path: The file.
        announcement: What is expected.

    Raises:
        OSError: As the system says; any method may.
    """

    def __init__(self, folder: Path, announcement: Announcement) -> None:
        self.path = folder / _BUNDLE
        self.announcement = announcement
        self._signature = self.path.with_name(self.path.name + SUFFIX)
        self._file = folder / _RECORD
        self._received = 0
        kept = self._kept()
        if kept is not None and msgspec.structs.replace(kept, received="0") == self._record(0):
            self._received = int(kept.received, 16) & self._all
        else:
            self.restart()

    @property
    def have_bytes(self) -> int:
        """How much is there; of a bundle from a URL, from its beginning on."""
        whole, size = self.announcement.size_bytes, self.announcement.chunk_bytes
        if size is not None:
            last = self._received >> (self._chunks - 1) & 1
            return self._received.bit_count() * size - (last and self._chunks * size - whole)
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def missing(self, limit: int) -> tuple[str, ...]:
        """The first chunks that are missing, as arguments of their topics."""
        numbers = (number for number in range(self._chunks) if not self._received >> number & 1)
        return tuple(chunk_argument(self.announcement.sha8, number) for number in islice(numbers, limit))

    def append(self, piece: bytes) -> None:
        """Take the next octets from the URL."""
        self._write(piece, self.have_bytes)

    def put(self, number: int, piece: bytes) -> bool:
        """Take a chunk; returns whether it was a new one. Raises MessageError if it does not fit."""
        size = self.announcement.chunk_bytes
        if size is None or not number < self._chunks:
            raise MessageError(f"chunk {number}: there are {self._chunks}")
        expected = min(size, self.announcement.size_bytes - number * size)
        if len(piece) != expected:
            raise MessageError(f"chunk {number}: {len(piece)} bytes, expected {expected}")
        if self._received >> number & 1:
            return False
        self._write(piece, number * size)
        received = self._received | 1 << number
        self._write_record(received)
        self._received = received
        return True

    def finish(self) -> Path:
        """Put the signature beside the complete file; raises BundleError, and begins again, if it is damaged."""
        size, digest = self._measure()
        if (size, digest) != (self.announcement.size_bytes, self.announcement.sha256):
            self.restart()
            raise BundleError(f"what arrived ({size} bytes, sha256 {digest[:12]}) is not what was announced")
        write_durably(self._signature, self.announcement.bundle_signature.encode())
        return self.path

    def restart(self) -> None:
        """Begin again with nothing."""
        discard(self.path.parent)
        self._received = 0
        self._write_record(0)

    @property
    def _chunks(self) -> int:
        return self.announcement.chunks or 0

    @property
    def _all(self) -> int:
        return (1 << self._chunks) - 1

    def _kept(self) -> _Record | None:
        try:
            with self._file.open("rb") as file:
                return msgspec.json.decode(file.read(_MAX_RECORD_BYTES), type=_Record)
        except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def _record(self, received: int) -> _Record:
        one = self.announcement
        return _Record(one.sha256, one.size_bytes, one.chunk_bytes, f"{received:x}")

    def _write_record(self, received: int) -> None:
        write_durably(self._file, msgspec.json.encode(self._record(received)))

    def _write(self, piece: bytes, offset: int) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            view = memoryview(piece)
            while view:
                written = os.pwrite(file, view, offset)
                view, offset = view[written:], offset + written
            os.fsync(file)
        finally:
            os.close(file)

    def _measure(self) -> tuple[int, str]:
        """Size and digest of the file."""
        digest, size = hashlib.sha256(), 0
        try:
            with self.path.open("rb") as file:
                while piece := file.read(_HASHED_BYTES):
                    size += len(piece)
                    digest.update(piece)
        except FileNotFoundError:
            return 0, "none"
        return size, digest.hexdigest()


def discard(folder: Path) -> None:
    """Remove what was on its way."""
    (folder / _RECORD).unlink(missing_ok=True)  # first: without it, whatever is left of the rest counts for nothing
    sync_folder(folder)
    for name in (_BUNDLE + SUFFIX, _BUNDLE):
        (folder / name).unlink(missing_ok=True)
    sync_folder(folder)
