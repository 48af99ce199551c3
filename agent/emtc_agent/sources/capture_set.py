"""Many captures as one stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from operator import itemgetter
from pathlib import Path
from types import TracebackType

from emtc_agent.packets import PacketBatch
from emtc_agent.sources.buffer import BUFFER_BYTES, SMALL_BUFFER_BYTES
from emtc_agent.sources.files import BATCH_PACKETS, STDIN, open_capture
from emtc_agent.sources.merge import merge
from emtc_agent.sources.reader import CaptureReader, SourceStats
from emtc_contract.errors import CaptureError

_FEW = 2  # captures, for which the large buffer is affordable even if all overlap


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


def _can_be_read_once(name: str) -> bool:
    """Whether a source cannot be looked into before it is read: standard input, pipes."""
    return name == STDIN or Path(name).is_fifo()


class CaptureSet:
    """Captures read as one stream, their packets in order of time; or each as a stream of its own.

    All of them are checked before the first packet is read, so that a wrong file stops the work before it begins; but
    a single pipe or standard input, which gives its bytes only once, is not.

    Args:
        sources: Files, folders, or ``"-"``.
        batch_packets: Most packets per batch of one capture.
        one_by_one: Each capture is a stream of its own, in the order given.

    Attributes:
        stats: Counters over all captures read so far.
        name: The capture opened last.
        size_bytes: Size of all files, None if one is unknown.
    """

    def __init__(
        self, sources: Sequence[str | Path], batch_packets: int = BATCH_PACKETS, *, one_by_one: bool = False
    ) -> None:
        self.stats = SourceStats()
        self.name = ""
        self.size_bytes: int | None = None
        self._batch_packets = batch_packets
        self._one_by_one = one_by_one
        self._open: list[CaptureReader] = []
        self._done_bytes = 0
        self._damage: list[str] = []
        names = expand(sources)
        is_stream = len(names) == 1 and _can_be_read_once(names[0])
        self._captures = [(0, names[0])] if is_stream else [(self._look_into(name), name) for name in names]
        self._buffer_bytes = BUFFER_BYTES if len(names) <= _FEW or one_by_one else SMALL_BUFFER_BYTES

    def _look_into(self, name: str) -> int:
        """Check a file; returns the time of its first packet, microseconds."""
        if _can_be_read_once(name):
            what = "standard input" if name == STDIN else f"{name}: a pipe"
            raise CaptureError(f"{what} cannot be mixed with files")
        with open_capture(name, batch_packets=1, buffer_bytes=SMALL_BUFFER_BYTES) as reader:
            self.size_bytes = (self.size_bytes or 0) + (reader.size_bytes or 0)
            return next((int(batch.ts_us[0]) for batch in reader), 0)

    @property
    def position_bytes(self) -> int:
        """Bytes of all files read so far."""
        return self._done_bytes + sum(reader.position_bytes for reader in self._open)

    def streams(self) -> Iterator[Iterator[PacketBatch]]:
        """The streams, to be read one after the other."""
        if self._one_by_one:
            for capture in self._captures:
                yield merge([capture], self._open_one, self._close_one)
        else:
            yield merge(sorted(self._captures, key=itemgetter(0)), self._open_one, self._close_one)

    def _open_one(self, name: str) -> CaptureReader:
        reader = open_capture(name, self._batch_packets, self._buffer_bytes)
        self._open.append(reader)
        self.name = reader.name
        return reader

    def _close_one(self, reader: CaptureReader) -> None:
        reader.close()
        self._open.remove(reader)
        self._done_bytes += reader.size_bytes or 0
        self._note_damage(reader)
        for counter in fields(SourceStats):
            total = getattr(self.stats, counter.name) + getattr(reader.stats, counter.name)
            setattr(self.stats, counter.name, total)

    def _note_damage(self, reader: CaptureReader) -> None:
        stats = reader.stats
        if stats.truncated and reader.damage:
            self._damage.append(f"{reader.name}: unreadable after {stats.packets} packets ({reader.damage})")
        elif stats.truncated:
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
        """Close the captures being read."""
        for reader in self._open:
            reader.close()
