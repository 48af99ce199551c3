"""Extractors in pairs: rows must not depend on how the stream was cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from emtc_agent.features import CaptureConfig, EdgeConfig, open_extractor
from emtc_agent.packets import PacketBatch
from emtc_agent.windows.windows import Extractor, Windows, join
from emtc_contract.schema import FeatureSchema
from fuzz import judge


class Twins:
    """One extractor that takes batches whole and its twin that takes them in pieces: their rows must be the same."""

    def __init__(self, whole: Extractor, cut: Extractor) -> None:
        self._extractors = whole, cut
        self._windows: tuple[list[Windows], list[Windows]] = [], []
        self._packets = 0

    def push(self, batch: PacketBatch, rng: np.random.Generator) -> None:
        """Give both the same packets."""
        edges = np.unique([0, len(batch), *rng.integers(0, len(batch) + 1, int(rng.integers(0, 6)))]).tolist()
        self._windows[0].append(self._extractors[0].push(batch))
        for begin, end in pairwise(edges):
            self._windows[1].append(self._extractors[1].push(batch.slice(begin, end)))
        self._packets += len(batch)

    def finish(self) -> None:
        """Judge what both made of the stream."""
        made = []
        for extractor, windows in zip(self._extractors, self._windows, strict=True):
            made.append(join([*windows, extractor.finish()], len(extractor.schema.columns)))
            judge.check_windows(made[-1], extractor.schema)
            judge.check_counts(extractor.stats, made[-1], self._packets)
        judge.check_same(*made)
        assert self._extractors[0].stats == self._extractors[1].stats


def equal_extractors(schema: FeatureSchema, rng: np.random.Generator) -> tuple[Extractor, Extractor]:
    """Two of the same settings; tables are often small, so that they fill."""
    key = int.from_bytes(rng.bytes(16), "big")
    edge = EdgeConfig(
        max_endpoints=int(rng.choice([8, 64, 2_048])),
        peers_per_endpoint=int(rng.choice([8, 64])),
        novelty_after_s=float(rng.choice([0.0, 1.0, 120.0])),
        sweep_every_s=float(rng.choice([0.0, 1.0, 600.0])),
        brief_idle_s=float(rng.choice([10.0, 600.0])),
        endpoint_idle_s=float(rng.choice([30.0, 86_400.0])),
        brief_peer_age_s=float(rng.choice([1.0, 21_600.0])),
        hash_key=key,
    )
    chunk_bytes = [None, 3_000, 10_000_000][int(rng.integers(0, 3))]
    capture = CaptureConfig(chunk_bytes, int(rng.choice([8, 1_024])), hash_key=key)
    return open_extractor(schema, edge, capture), open_extractor(schema, edge, capture)
