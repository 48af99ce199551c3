"""What every capture reader offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import BufferedReader, RawIOBase
from types import TracebackType

from emtc_agent.packets import PacketBatch
from emtc_agent.sources.buffer import ReadBuffer

_DENSE_US = 60_000_000
_SPARSE_PACKETS = 12_288
"""Each of packets far apart may end a window, and the rows of a full batch of them would take much memory."""


@dataclass(slots=True)
class SourceStats:
    """Counters of a source.

    Attributes:
        packets: Packets yielded.
        captured_bytes, wire_bytes: Their bytes, captured and on the wire.
        truncated: Ends in the middle of a record or block, or where it could not be read on (see ``damage``).
        malformed: Records or blocks with impossible lengths or interfaces.
        skipped_blocks: pcapng blocks that hold no packet.
    """

    packets: int = 0
    captured_bytes: int = 0
    wire_bytes: int = 0
    truncated: int = 0
    malformed: int = 0
    skipped_blocks: int = 0


@dataclass(slots=True)
class OpenFile:
    """An open capture: where its (decompressed) bytes come from and how far the file is read.

    Attributes:
        name: As the user called it.
        stream: Decompressed bytes.
        file: The file itself, for the position; None where it cannot tell.
        size_bytes: Size of the file, None if unknown.
        closing: Closes all of it.
    """

    name: str
    stream: RawIOBase
    file: BufferedReader | None
    size_bytes: int | None
    closing: ExitStack


class CaptureReader(ABC):
    """Iterates over the packets of one capture; a context manager that closes it.

    Attributes:
        stats: Counters, complete when the iteration has ended.
        name: The file's name.
        size_bytes: Size of the (compressed) file, None if unknown.
    """

    def __init__(self, source: OpenFile, batch_packets: int, buffer_bytes: int) -> None:
        self.stats = SourceStats()
        self.name = source.name
        self.size_bytes = source.size_bytes
        self._source = source
        self._batch_packets = batch_packets
        self._buffer = ReadBuffer(source.stream, buffer_bytes)

    @property
    def position_bytes(self) -> int:
        """Bytes of the (compressed) file read so far, 0 if unknown."""
        return self._source.file.tell() if self._source.file is not None else 0

    @property
    def damage(self) -> str:
        """Why the (compressed) file could not be read to its end, empty if it could."""
        return self._buffer.damage

    def __iter__(self) -> Iterator[PacketBatch]:
        for batch in self._read():
            is_sparse = batch.ts_us[-1] - batch.ts_us[0] > _DENSE_US
            most = min(self._batch_packets, _SPARSE_PACKETS) if is_sparse else self._batch_packets
            for begin in range(0, len(batch), most):
                part = batch.slice(begin, begin + most)
                self.stats.packets += len(part)
                self.stats.captured_bytes += int(part.cap_len.sum())
                self.stats.wire_bytes += int(part.wire_len.sum())
                yield part

    def __enter__(self) -> CaptureReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._source.closing.close()

    @abstractmethod
    def _read(self) -> Iterator[PacketBatch]:
        """Batches of any size, each valid until the next; counts how they end."""

    def _end(self) -> None:
        """There is nothing more to read: count what is left of a record or block, or that the stream is damaged."""
        self.stats.truncated += self._buffer.fill > 0 or bool(self._buffer.damage)
