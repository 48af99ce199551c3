"""Mutated packets through decoding and all extractors, thousands at a time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from emtc_agent.columns import L3, Mark, Other, decode, read_hints
from emtc_agent.features import CaptureConfig, EdgeConfig, open_extractor
from emtc_agent.features.edge_extractor import SWEEP_PACKETS
from emtc_agent.packets import GUARD_BYTES, PacketBatch
from emtc_agent.windows.windows import join
from emtc_contract.schemas import SCHEMAS
from fuzz import seeds

PACKETS = 3 * SWEEP_PACKETS
WIDTH = 160
_ODD_OCTETS = np.array([0, 1, 4, 6, 0x45, 0x4F, 0x60, 0x7F, 0x80, 0x81, 0xFE, 0xFF], np.uint8)
_LINKTYPES = np.array([0, 1, 9, 12, 50, 101, 108, 113, 228, 229, 276, 195, 65_535], np.uint16)
_START_US = 1_700_000_000_000_000


def mutated(rng: np.random.Generator, frames: list[seeds.Frame], count: int = PACKETS) -> PacketBatch:
    """A batch of packets, most of them damaged in octets, length or link type, some of them in time."""
    chosen = rng.integers(0, len(frames), count)
    octets = np.zeros((count, WIDTH), np.uint8)
    length = np.zeros(count, np.int64)
    for number in np.unique(chosen).tolist():
        rows, frame = chosen == number, frames[number][1][:WIDTH]
        octets[rows, : len(frame)] = np.frombuffer(frame, np.uint8)
        length[rows] = len(frame)
    linktype = np.array([kind for kind, _ in frames], np.uint16)[chosen]
    for _ in range(rng.integers(1, 5)):
        row = rng.choice(count, count // 2)
        at = rng.integers(0, np.maximum(length[row], 1))
        octets[row, at] = np.where(
            rng.random(len(row)) < 0.5, rng.choice(_ODD_OCTETS, len(row)), rng.integers(0, 256)
        )
    cut = rng.random(count) < 0.2
    length[cut] = rng.integers(0, np.minimum(length[cut] + 20, WIDTH))
    other_link = rng.random(count) < 0.05
    linktype[other_link] = rng.choice(_LINKTYPES, int(other_link.sum()))
    wire = length + np.where(rng.random(count) < 0.1, rng.integers(0, 2**32, count), 0)
    step = rng.choice([0, 1, 100, 20_000, 400_000, -300_000, 30_000_000, -(10**12), 10**12], count, p=_STEP_ODDS)
    ts_us = _START_US + np.cumsum(step)
    ts_us[rng.random(count) < 0.001] = rng.choice([0, -1, 1 << 61, -(1 << 60)])
    return _batch(octets, length, wire, ts_us, linktype)


_STEP_ODDS = [0.1, 0.1, 0.3, 0.3, 0.15, 0.02, 0.02, 0.005, 0.005]


def _batch(octets, length, wire, ts_us, linktype) -> PacketBatch:
    """Packets ``WIDTH`` bytes apart, with what is behind each one's end left in place."""
    data = np.concatenate([octets.reshape(-1), np.full(GUARD_BYTES, 0x45, np.uint8)])
    start = np.arange(len(length)) * WIDTH
    return PacketBatch(data, start, length, np.minimum(wire, 2**32 - 1), ts_us, linktype)


def check_columns(rng: np.random.Generator, batch: PacketBatch) -> None:
    """Every column is in range, and says nothing of octets that were not captured."""
    columns, hints = decode(batch), read_hints(batch, decode(batch))
    end = batch.start + batch.cap_len
    assert np.isin(columns.reason, list(Other)).all()
    assert np.isin(columns.l3, list(L3)).all()
    for length in (columns.net_len, columns.payload_len, columns.payload_cap):
        assert (length >= 0).all()
    assert (columns.payload_cap <= columns.payload_len).all()
    filled = columns.payload_cap > 0
    assert (columns.payload_at + columns.payload_cap <= end)[filled].all()
    assert (columns.payload_at >= batch.start)[filled].all()
    plain = (columns.marks & Mark.TRANSPORT) == 0
    assert not columns.src_port[plain].any()
    assert not columns.teid[(columns.marks & Mark.TUNNEL) == 0].any()
    again = replace(batch, data=_other_octets_outside(rng, batch))
    for one, other in ((columns, decode(again)), (hints, read_hints(again, decode(again)))):
        for name in one.__slots__:
            assert (getattr(one, name) == getattr(other, name)).all(), name


def _other_octets_outside(rng: np.random.Generator, batch: PacketBatch):
    """The bytes of a batch with everything changed that lies outside its packets."""
    inside = np.zeros(len(batch.data) + 1, np.int64)
    np.add.at(inside, batch.start, 1)
    np.add.at(inside, batch.start + batch.cap_len, -1)
    return np.where(np.cumsum(inside[:-1]) > 0, batch.data, rng.integers(0, 256, len(batch.data), np.uint8))


def check_rows(rng: np.random.Generator, batch: PacketBatch) -> None:
    """Rows of every schema are numbers in range, and the same however the batch is cut."""
    edges = np.unique(np.concatenate([[0, len(batch)], rng.integers(0, len(batch), rng.integers(0, 9))])).tolist()
    for name, schema in SCHEMAS.items():
        rows = []
        for cuts in ([0, len(batch)], edges):
            extractor = open_extractor(
                schema, EdgeConfig(64, 16, hash_key=1), CaptureConfig(max_flows=64, hash_key=1)
            )
            parts = [extractor.push(batch.slice(a, b)) for a, b in pairwise(cuts)]
            rows.append(join([*parts, extractor.finish()], len(schema.columns)))
        assert extractor.stats.packets == len(batch)
        assert rows[0].features.tobytes() == rows[1].features.tobytes(), name
        if name == "edge-v1":
            _check_edge(rows[0].features, schema.columns)


def _check_edge(features, columns) -> None:
    assert np.isfinite(features).all()
    assert (features >= 0).all()
    shares = features[:, [number for number, name in enumerate(columns) if name.endswith("_share")]]
    assert (shares <= 1).all()


def fuzz_round(rng: np.random.Generator, frames: list[seeds.Frame]) -> int:
    """One batch; returns how many packets it had."""
    batch = mutated(rng, frames)
    check_columns(rng, batch)
    check_rows(rng, batch)
    return len(batch)
