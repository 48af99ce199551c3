"""Opening captures by what they contain, not by what they are called."""

from __future__ import annotations

import gzip
import io
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import cast

from emtc_agent.sources.buffer import BUFFER_BYTES, ReadBuffer
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
        buffer = ReadBuffer(source_file.stream, buffer_bytes)
        buffer.refill(0)
        magic = buffer.octets[: min(buffer.fill, 4)].tobytes()
        if magic == PCAPNG_MAGIC:
            reader: CaptureReader = PcapngReader(source_file, buffer, batch_packets)
        elif magic in MAGICS:
            reader = PcapReader(source_file, buffer, batch_packets)
        else:
            what = buffer.error or (f"starts with {magic.hex(' ')}" if magic else "is empty")
            raise CaptureError(f"{source_file.name}: not a pcap or pcapng capture ({what})")
        source_file.closing = stack.pop_all()
        return reader


def is_pipe(name: str) -> bool:
    """Whether a source can be read only once: standard input, or a pipe that has a name."""
    return name == STDIN or not Path(name).is_file()


def _open(name: str, stack: ExitStack) -> OpenFile:
    if name == STDIN:
        opened = OpenFile("standard input", cast("io.BufferedIOBase", sys.stdin.buffer), None, None, stack)
    else:
        try:
            file = stack.enter_context(Path(name).open("rb"))  # noqa: SIM115 - the stack closes it
        except OSError as error:
            raise CaptureError(f"{name}: {error.strerror}") from None
        known = not is_pipe(name)
        opened = OpenFile(
            name, file, file if known else None, os.fstat(file.fileno()).st_size if known else None, stack
        )
    patient = io.BufferedReader(cast("io.RawIOBase", opened.stream))  # its peek waits for more than a first byte
    opened.stream = patient
    if patient.peek(2)[:2] == _GZIP_MAGIC:
        opened.stream = gzip.GzipFile(fileobj=patient)
    return opened
