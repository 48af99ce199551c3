"""The agent's pipeline without I/O: packet batches in, alerts out; and feature rows for files.

Data moves one way: batch -> windows -> scores -> incidents -> alerts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from emtc_agent.addresses import endpoint_text, ip_text
from emtc_agent.detector import Scored, Scorer
from emtc_agent.feature_files import FeatureRows
from emtc_agent.incidents import IncidentTracker
from emtc_agent.packets import PacketBatch
from emtc_agent.sources import open_capture
from emtc_agent.windows.windows import Extractor, ExtractorStats, Windows
from emtc_contract.messages import Alert
from emtc_contract.schema import FeatureSchema


@dataclass(slots=True)
class Pipeline:
    """Extraction, scoring and incidents chained.

    Args:
        open_extractor: Makes the extractor of each stream.
        scorer: Scores windows.
        tracker: Makes incidents of them.

    Attributes:
        observers: Called with the windows and scores of each batch, after the tracker, and the seconds scoring took.
        extracted: Counters of extraction, over all streams that have ended.
        scored: Windows scored so far.
    """

    open_extractor: Callable[[], Extractor]
    scorer: Scorer
    tracker: IncidentTracker
    observers: list[Callable[[Windows, Scored, float], None]] = field(default_factory=list)
    extracted: ExtractorStats = field(default_factory=ExtractorStats)
    scored: int = 0
    _extractor: Extractor | None = None

    def push(self, batch: PacketBatch) -> list[Alert]:
        """Take the next packets; returns the alerts they cause, in order."""
        if self._extractor is None:
            self._extractor = self.open_extractor()
        alerts = self._judge(self._extractor.push(batch))
        return alerts + self.tracker.tick(int(batch.ts_us[-1])) if len(batch) else alerts

    def tick(self, now_us: int) -> list[Alert]:
        """Let time pass without packets, until capture time ``now_us``; returns the alerts that causes."""
        alerts = self._judge(self._extractor.tick(now_us)) if self._extractor is not None else []
        return alerts + self.tracker.tick(now_us)

    def halt(self) -> list[Alert]:
        """End of the program but not of the stream: judge what is left; incidents stay open."""
        alerts: list[Alert] = []
        if self._extractor is not None:
            alerts = self._judge(self._extractor.finish())
            self.extracted.add(self._extractor.stats)
        self._extractor = None
        return alerts

    def take_extractor(self) -> Extractor | None:
        """Hand the extractor of this stream over to another pipeline (``go_on_with``)."""
        extractor, self._extractor = self._extractor, None
        return extractor

    def go_on_with(self, extractor: Extractor | None) -> None:
        """Go on with the stream of another pipeline."""
        self._extractor = extractor

    @property
    def stats(self) -> ExtractorStats:
        """Counters of extraction so far."""
        total = ExtractorStats()
        total.add(self.extracted)
        if self._extractor is not None:
            total.add(self._extractor.stats)
        return total

    def finish(self) -> list[Alert]:
        """End of the stream: judge what is left and close every incident; the next packets begin another stream."""
        alerts: list[Alert] = []
        if self._extractor is not None:
            alerts = self._judge(self._extractor.finish()) + self.tracker.finish()
            self.extracted.add(self._extractor.stats)
        self._extractor = None
        self.scorer.restart()
        return alerts

    def _judge(self, windows: Windows) -> list[Alert]:
        if not len(windows):
            return []
        begin_s = time.perf_counter()
        scored = self.scorer.score(windows)
        seconds = time.perf_counter() - begin_s
        self.scored += len(scored.index)
        alerts = self.tracker.observe(windows, scored)
        for observer in self.observers:
            observer(windows, scored, seconds)
        return alerts


def feature_rows(windows: Windows, schema: FeatureSchema, source: str) -> FeatureRows:
    """Windows as unlabelled rows of a feature file."""
    identity = zip(windows.kind.tolist(), windows.id_hi.tolist(), windows.id_lo.tolist(), strict=True)
    addresses = zip(windows.ip_hi.tolist(), windows.ip_lo.tolist(), strict=True)
    return FeatureRows(
        schema=schema,
        features=windows.features,
        endpoint=np.array([endpoint_text(*one) for one in identity], dtype=object),
        first_us=windows.first_us,
        last_us=windows.last_us,
        label=np.full(len(windows), "", dtype=object),
        source=source,
        ip=np.array([ip_text(*one) or "" for one in addresses], dtype=object),
    )


def extract(batches: Iterable[PacketBatch], extractor: Extractor, source: str) -> Iterator[FeatureRows]:
    """Rows of a stream, in pieces of bounded size."""
    for batch in batches:
        windows = extractor.push(batch)
        if len(windows):
            yield feature_rows(windows, extractor.schema, source)
    windows = extractor.finish()
    if len(windows):
        yield feature_rows(windows, extractor.schema, source)


def extract_capture(path: str | Path, extractor: Extractor) -> Iterator[FeatureRows]:
    """Rows of one capture file; raises CaptureError if it is none."""
    with open_capture(path) as reader:
        yield from extract(reader, extractor, reader.name)
