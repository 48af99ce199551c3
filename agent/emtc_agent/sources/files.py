"""Opening captures by what they contain, not by what they are called."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, cast

from emtc_agent.sources.buffer import BUFFER_BYTES
from emtc_agent.sources.pcap import MAGICS, PcapReader
from emtc_agent.sources.pcapng import MAGIC as PCAPNG_MAGIC
from emtc_agent.sources.pcapng import PcapngReader
from emtc_agent.sources.reader import CaptureReader, OpenFile
from emtc_contract.errors import CaptureError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

STDIN = "-"
BATCH_PACKETS = 24_576
_MAGIC_BYTES = 4
_GZIP_MAGIC = b"\x1f\x8b"


def open_capture(
    source: str | Path, batch_packets: int = BATCH_PACKETS, buffer_bytes: int = BUFFER_BYTES
) -> CaptureReader:
    """Open a pcap or pcapng capture, also gzipped; ``"-"`` is standard input.

    Args:
        source: Path or ``"-"``.
        batch_packets: Most packets per batch.
        buffer_bytes: Size of the read buffer; at least ``SMALL_BUFFER_BYTES``.

    Raises:
        CaptureError: It cannot be read, or is no capture.
    """
    with ExitStack() as stack:
        source_file, magic = _open(str(source), stack)
        if magic == PCAPNG_MAGIC:
            reader: CaptureReader = PcapngReader(source_file, batch_packets, buffer_bytes)
        elif magic in MAGICS:
            reader = PcapReader(source_file, batch_packets, buffer_bytes)
        else:
            what = f"starts with {magic.hex(' ')}" if magic else "is empty"
            raise CaptureError(f"{source_file.name}: not a pcap or pcapng capture ({what})")
        source_file.closing = stack.pop_all()
        return reader


class _PutBack(io.RawIOBase):
    """A stream whose first bytes were read to see what it is, with those in front again."""

    def __init__(self, first: bytes, stream: io.BufferedIOBase) -> None:
        self._first = first
        self._stream = stream

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, into: WriteableBuffer) -> int:
        """What one read of the stream gives: after an error, all bytes before it have been given."""
        if not self._first:
            return self._stream.readinto1(into)
        view = memoryview(into)
        given, self._first = self._first[: len(view)], self._first[len(view) :]
        view[: len(given)] = given
        return len(given)


def _open(name: str, stack: ExitStack) -> tuple[OpenFile, bytes]:
    """The open file, and the first bytes of its content, which stay unread."""
    file, size_bytes = None, None
    if name == STDIN and sys.stdin is None:
        raise CaptureError("standard input: is closed")
    try:
        if name == STDIN:
            raw = cast("io.BufferedReader", sys.stdin.buffer)
        else:
            raw = stack.enter_context(Path(name).open("rb"))  # noqa: SIM115 - the stack closes it
            if raw.seekable():  # a pipe has neither size nor position
                file, size_bytes = raw, os.fstat(raw.fileno()).st_size
        magic, stream = _look(raw)
        if magic.startswith(_GZIP_MAGIC):
            magic, stream = _look(gzip.GzipFile(fileobj=io.BufferedReader(stream)))
    except OSError as error:
        raise CaptureError(f"{_said(name)}: {error.strerror or error}") from None
    except (EOFError, zlib.error) as error:
        raise CaptureError(f"{_said(name)}: {error}") from None
    return OpenFile(_said(name), stream, file, size_bytes, stack), magic


def _look(stream: io.BufferedIOBase) -> tuple[bytes, _PutBack]:
    """The first bytes, in as many reads as it takes (a pipe may give them one by one), and the whole stream."""
    first = stream.read(_MAGIC_BYTES)
    return first, _PutBack(first, stream)


def _said(name: str) -> str:
    return "standard input" if name == STDIN else name
