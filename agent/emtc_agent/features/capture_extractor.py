"""Windows over all hosts of a capture together, as CICIoT2023 cuts them: n frames, then the next n."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from emtc_agent.features.cic_frames import Frames, read_frames
from emtc_agent.packets import Float64, Int64, PacketBatch
from emtc_agent.windows.windows import Closed, EndpointKind, ExtractorStats, Windows, empty_windows, join
from emtc_contract.schema import FeatureSchema

Values = dict[str, npt.NDArray[Any]]
"""Named columns over frames."""

CHUNK_BYTES = 10_000_000
_FILE_HEADER_BYTES, _RECORD_HEADER_BYTES = 24, 16
_MAX_FRAMES = 65_536


class Formulas(Protocol):
    """What a schema computes from frames; remembers what it needs from one call to the next."""

    schema: FeatureSchema

    @property
    def spilled(self) -> int:
        """Packets whose flow found no room in a bounded table."""
        ...

    def reset(self) -> None:
        """Start anew, as at the beginning of a capture."""
        ...

    def of_frames(self, frames: Frames) -> Values:
        """What windows are computed from, per frame; ``frames`` is not empty."""
        ...

    def of_windows(self, values: Values, start: Int64, frames: Int64) -> Float64:
        """(W, F) features of windows that begin at ``start`` and hold ``frames`` frames each."""
        ...


@dataclass(frozen=True, slots=True)
class CaptureConfig:
    """Settings of the CICIoT2023 extractors.

    Attributes:
        chunk_bytes: Captures were cut into pcap files of this size (``tcpdump -C 10``) and every state started
            anew in each; None for one endless stream.
        max_flows: Flows remembered by ``ciciot2023-46``; a power of two.
        hash_key: Fixed hash key for reproducible tests; random by default.
    """

    chunk_bytes: int | None = CHUNK_BYTES
    max_flows: int = 131_072
    hash_key: int | None = None


class CaptureExtractor:
    """Implements ``Extractor`` for the CICIoT2023 schemas; the rows do not depend on how the stream is cut.

    Args:
        schema: The formulas' schema, possibly with another window size (at most 255 frames).
        formulas: What to compute.
        config: Settings.
    """

    def __init__(self, schema: FeatureSchema, formulas: Formulas, config: CaptureConfig) -> None:
        self.schema = schema
        self.stats = ExtractorStats()
        self._formulas = formulas
        self._chunk_bytes = config.chunk_bytes
        self._written_bytes = _FILE_HEADER_BYTES
        self._open: Values = {}

    def push(self, batch: PacketBatch) -> Windows:
        """Take the next packets of the stream and return the windows they closed."""
        parts = [
            part
            for begin in range(0, len(batch), _MAX_FRAMES)
            for part in self._step(batch.slice(begin, begin + _MAX_FRAMES))
        ]
        return join(parts, len(self.schema.features))

    def tick(self, ts_us: int) -> Windows:
        """Nothing: these windows end with their last frame, however long that takes."""
        del ts_us
        return empty_windows(len(self.schema.features))

    def finish(self) -> Windows:
        """End of the stream: close the open window."""
        return self._end()

    def _step(self, batch: PacketBatch) -> Iterator[Windows]:
        frames, broken = read_frames(batch)
        begin = 0
        for cut in np.searchsorted(frames.packet, self._chunk_starts(batch.cap_len)).tolist():
            yield self._add(frames.slice(begin, cut))
            yield self._end()
            self._formulas.reset()
            begin = cut
        yield self._add(frames.slice(begin, len(frames)))
        self._count(len(batch), len(frames), broken)

    def _chunk_starts(self, captured: Int64) -> list[int]:
        """Packets that begin a new piece: those before which the piece has passed its size."""
        size = captured + _RECORD_HEADER_BYTES
        before = np.cumsum(size) - size
        starts: list[int] = []
        at, written = 0, self._written_bytes
        while self._chunk_bytes is not None:
            following = int(np.searchsorted(before, before[at] + self._chunk_bytes - written, side="right"))
            if following >= len(size):
                break
            at, written = max(following, at), _FILE_HEADER_BYTES
            starts.append(at)
        self._written_bytes = written + int(before[-1] + size[-1] - before[at])
        return starts

    def _add(self, frames: Frames) -> Windows:
        """Windows that these frames complete."""
        if not len(frames):
            return empty_windows(len(self.schema.features))
        new = {**self._formulas.of_frames(frames), "ts_us": frames.ts_us}
        values = {name: np.concatenate([self._open[name], new[name]]) for name in new} if self._open else new
        size = self.schema.window.packets
        complete = len(values["ts_us"]) // size
        self._open = {name: value[complete * size :].copy() for name, value in values.items()}
        return self._windows(values, np.full(complete, size), Closed.FULL)

    def _end(self) -> Windows:
        """The open window, short as it may be."""
        values, self._open = self._open, {}
        frames = len(values["ts_us"]) if values else 0
        return self._windows(values, np.full(min(frames, 1), frames), Closed.END)

    def _windows(self, values: Values, frames: Int64, closed: Closed) -> Windows:
        number = len(frames)
        if not number:
            return empty_windows(len(self.schema.features))
        self.stats.windows += number
        start = np.cumsum(frames) - frames
        values = {name: value[: int(frames.sum())] for name, value in values.items()}
        ts_us = values.pop("ts_us")
        nothing = np.zeros(number, np.uint64)
        return Windows(
            features=self._formulas.of_windows(values, start, frames),
            slot=np.zeros(number, np.int32),
            kind=np.full(number, EndpointKind.CAPTURE, np.uint8),
            id_hi=nothing,
            id_lo=nothing,
            ip_hi=nothing,
            ip_lo=nothing,
            teid=np.zeros(number, np.uint32),
            first_us=ts_us[start],
            last_us=ts_us[start + frames - 1],
            packets=frames.astype(np.int32),
            closed=np.full(number, closed, np.uint8),
            peer_hi=nothing,
            peer_lo=nothing,
            peer_port=np.zeros(number, np.uint16),
            peer_proto=np.zeros(number, np.uint8),
        )

    def _count(self, packets: int, frames: int, broken: int) -> None:
        self.stats.packets += packets
        self.stats.endpoints = 1
        self.stats.spilled = self._formulas.spilled
        for name, number in (("bad_ipv4", broken), ("neither_ipv4_nor_arp", packets - frames - broken)):
            if number:
                self.stats.other[name] = self.stats.other.get(name, 0) + number
