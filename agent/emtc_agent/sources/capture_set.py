"""Many captures as one stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from types import TracebackType

from emtc_agent.packets import PacketBatch
from emtc_agent.sources.files import BATCH_PACKETS, STDIN, open_capture
from emtc_agent.sources.reader import CaptureReader, SourceStats
from emtc_contract.errors import CaptureError


def expand(sources: Sequence[str | Path]) -> list[str]:
    """Files of all sources: folders give the files below them in sorted order.

    Raises:
        CaptureError: A source does not exist, or a folder holds no file.
    """
    names: list[str] = []
    for source in map(str, sources):
        path = Path(source)
        if source != STDIN and not path.exists():
            raise CaptureError(f"{source}: no such file or folder")
        if source == STDIN or not path.is_dir():
            names.append(source)
            continue
        below = sorted(str(file) for file in path.rglob("*") if file.is_file())
        if not below:
            raise CaptureError(f"{source}: the folder holds no file")
        names += below
    return names


class CaptureSet:
    """Captures read one after the other, by the time of their first packet.

    Files are not interleaved: where two overlap in time, the stream clock takes the second for later. All of
    them are checked before the first packet is read, so that a wrong file stops the work before it begins.

    Args:
        sources: Files, folders, or ``"-"``.
        batch_packets: Most packets per batch.
        in_time_order: Sort by first packet; else as given.

    Attributes:
        stats: Counters over all captures read so far.
        name: The capture being read.
        size_bytes: Size of all files, None if one is unknown.
    """

    def __init__(
        self, sources: Sequence[str | Path], batch_packets: int = BATCH_PACKETS, *, in_time_order: bool = True
    ) -> None:
        self.stats = SourceStats()
        self.name = ""
        self._batch_packets = batch_packets
        self._names = expand(sources)
        self._current: CaptureReader | None = None
        self._done_bytes = 0
        self._damage: list[str] = []
        self.size_bytes: int | None = 0
        if self._names != [STDIN]:
            begins = {name: self._look_into(name) for name in self._names}
            if in_time_order:
                self._names.sort(key=lambda name: begins[name])
        else:
            self.size_bytes = None

    def _look_into(self, name: str) -> int:
        """Check a file; returns the time of its first packet, microseconds."""
        if name == STDIN:
            raise CaptureError("standard input cannot be mixed with files")
        with open_capture(name, batch_packets=1) as reader:
            self.size_bytes = (self.size_bytes or 0) + (reader.size_bytes or 0)
            if len(self._names) == 1:
                return 0
            return next((int(batch.ts_us[0]) for batch in reader), 0)

    @property
    def position_bytes(self) -> int:
        """Bytes of all files read so far."""
        return self._done_bytes + (self._current.position_bytes if self._current else 0)

    def __iter__(self) -> Iterator[PacketBatch]:
        for name in self._names:
            with open_capture(name, self._batch_packets) as reader:
                self._current, self.name = reader, reader.name
                yield from reader
                self._current = None
                self._done_bytes += reader.size_bytes or 0
                self._note_damage(reader)
                for counter in fields(SourceStats):
                    total = getattr(self.stats, counter.name) + getattr(reader.stats, counter.name)
                    setattr(self.stats, counter.name, total)

    def _note_damage(self, reader: CaptureReader) -> None:
        stats = reader.stats
        if stats.truncated:
            self._damage.append(f"{reader.name}: ends in the middle of a packet, after {stats.packets} packets")
        elif stats.malformed:
            self._damage.append(f"{reader.name}: {stats.malformed} broken record(s) beside {stats.packets} packets")

    def require_whole(self) -> None:
        """Raise CaptureError if a capture read so far was cut or damaged; what it held was read all the same."""
        if self._damage:
            more = f" (and {len(self._damage) - 1} more captures are damaged)" if len(self._damage) > 1 else ""
            raise CaptureError(self._damage[0] + more)

    def __enter__(self) -> CaptureSet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the capture being read."""
        if self._current:
            self._current.close()
