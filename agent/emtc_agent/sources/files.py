"""Opening captures by what they contain, not by what they are called."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import cast

from emtc_agent.sources.buffer import BUFFER_BYTES
from emtc_agent.sources.pcap import MAGICS, PcapReader
from emtc_agent.sources.pcapng import MAGIC as PCAPNG_MAGIC
from emtc_agent.sources.pcapng import PcapngReader
from emtc_agent.sources.reader import CaptureReader, OpenFile
from emtc_contract.errors import CaptureError

STDIN = "-"
BATCH_PACKETS = 16_384
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
        source_file = _open(str(source), stack)
        magic = _magic(source_file)
        if magic == PCAPNG_MAGIC:
            reader: CaptureReader = PcapngReader(source_file, batch_packets, buffer_bytes)
        elif magic in MAGICS:
            reader = PcapReader(source_file, batch_packets, buffer_bytes)
        else:
            what = f"starts with {magic.hex(' ')}" if magic else "is empty"
            raise CaptureError(f"{source_file.name}: not a pcap or pcapng capture ({what})")
        source_file.closing = stack.pop_all()
        return reader


def _open(name: str, stack: ExitStack) -> OpenFile:
    if name == STDIN:
        raw: io.BufferedReader = io.BufferedReader(cast("io.RawIOBase", sys.stdin.buffer))
        opened = OpenFile("standard input", raw, None, None, stack)
    else:
        try:
            raw = stack.enter_context(Path(name).open("rb"))  # noqa: SIM115 - the stack closes it
            size_bytes = os.fstat(raw.fileno()).st_size
        except OSError as error:
            raise CaptureError(f"{name}: {error.strerror}") from None
        opened = OpenFile(name, raw, raw, size_bytes, stack)
    if raw.peek(2)[:2] == _GZIP_MAGIC:
        opened.stream = io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=raw)))
    return opened


def _magic(opened: OpenFile) -> bytes:
    """The first four (decompressed) bytes, which stay unread."""
    try:
        return opened.stream.peek(4)[:4]
    except (OSError, EOFError, zlib.error) as error:
        raise CaptureError(f"{opened.name}: {error}") from None
