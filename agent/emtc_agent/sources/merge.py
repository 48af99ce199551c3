"""Several captures as one stream, their packets in order of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from emtc_agent.packets import GUARD_BYTES, Int64, PacketBatch
from emtc_agent.sources.reader import CaptureReader
from emtc_agent.windows.arrays import running_maximum

MAX_OPEN = 16
"""Captures read at once; further ones that overlap with them wait until one has ended."""


class _Lane:
    """An open capture and its packets that are not yielded yet.

    Attributes:
        reader: The capture.
        batch: Packets read ahead; never empty.
        time_us: (N,) their times, where a packet that is older than the one before it takes that one's, so that the
            order within a capture is kept.
    """

    def __init__(self, reader: CaptureReader) -> None:
        self.reader = reader
        self.batch: PacketBatch
        self.time_us = np.full(1, np.iinfo(np.int64).min)
        self._batches = iter(reader)

    def read(self) -> bool:
        """Replace the packets by the next ones; returns whether there are any."""
        for batch in self._batches:
            if len(batch):
                self.time_us = np.maximum(running_maximum(batch.ts_us), self.time_us[-1])
                self.batch = batch
                return True
        return False

    def take(self, until_us: int) -> tuple[PacketBatch, Int64]:
        """The packets up to a time, and their times; those behind stay."""
        end = int(np.searchsorted(self.time_us, until_us, side="right"))
        taken = self.batch.slice(0, end), self.time_us[:end]
        self.batch = self.batch.slice(end, len(self.batch))
        self.time_us = self.time_us[end:] if len(self.batch) else self.time_us[-1:]
        return taken


def merge(
    captures: Sequence[tuple[int, str]],
    open_one: Callable[[str], CaptureReader],
    close: Callable[[CaptureReader], None],
) -> Iterator[PacketBatch]:
    """Yield the packets of all captures in order of time; each batch is valid until the next.

    Args:
        captures: Time of the first packet and name, in order of time.
        open_one: Opens a capture.
        close: Called with each capture that has been read.
    """
    waiting = list(captures)
    lanes: list[_Lane] = []
    while waiting or lanes:
        until_us = min((int(lane.time_us[-1]) for lane in lanes), default=waiting[0][0] if waiting else 0)
        while waiting and waiting[0][0] <= until_us and len(lanes) < MAX_OPEN:
            lane = _Lane(open_one(waiting.pop(0)[1]))
            if lane.read():
                lanes.append(lane)
                until_us = min(until_us, int(lane.time_us[-1])) if len(lanes) > 1 else int(lane.time_us[-1])
            else:
                close(lane.reader)
        if not lanes:
            continue
        parts = [lane.take(until_us) for lane in lanes]
        yield _interleave([part for part in parts if len(part[0])])
        for lane in [lane for lane in lanes if not len(lane.batch)]:
            if not lane.read():
                lanes.remove(lane)
                close(lane.reader)


def _interleave(parts: list[tuple[PacketBatch, Int64]]) -> PacketBatch:
    """The packets of all parts in order of time; of equal times, those of the earlier part first."""
    batches = [batch for batch, _ in parts]
    if len(batches) == 1:
        return batches[0]
    order = np.argsort(np.concatenate([time_us for _, time_us in parts]), kind="stable")
    pieces, starts, size = [], [], 0
    for batch in batches:
        begin, end = int(batch.start.min()), int((batch.start + batch.cap_len).max())
        pieces.append(batch.data[begin:end])
        starts.append(batch.start - begin + size)
        size += end - begin
    return PacketBatch(
        data=np.concatenate([*pieces, np.zeros(GUARD_BYTES, np.uint8)]),
        start=np.concatenate(starts)[order],
        cap_len=np.concatenate([batch.cap_len for batch in batches])[order],
        wire_len=np.concatenate([batch.wire_len for batch in batches])[order],
        ts_us=np.concatenate([batch.ts_us for batch in batches])[order],
        linktype=np.concatenate([batch.linktype for batch in batches])[order],
    )
