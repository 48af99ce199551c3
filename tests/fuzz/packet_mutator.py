"""Many mutated packets at once: a matrix of octets, one row per packet, that numpy disturbs column-wise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emtc_agent.packets import GUARD_BYTES, PacketBatch
from fuzz.corpus import BASE_US, LINKS

WIDTH = 192
_DAMAGES = 6
_OCTETS = np.array([0, 1, 4, 5, 0x7F, 0x80, 0xFE, 0xFF, 0x45, 0x46, 0x4F, 0x60, 0x40], np.uint8)
_WORDS = np.array([0, 1, 0x7FFF, 0x8000, 0xFFFF, 0x0800, 0x86DD, 0x0806, 0x8100, 0x8847, 0x8864, 2152, 53], np.uint16)
_WIRE = np.array([0, 1, 65_536, 262_144, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
_STEPS_US = np.array([0, 0, 1, 999, 1_001, 40_000, 9_999_999, 31_000_000, -500_000, -2_000_000, 700_000_000])
_LEAPS_US = np.array([0, 3_599_999_999, 3_600_000_001, -(1 << 60), 1 << 60, -(1 << 40), 1 << 40])


class PacketMutator:
    """Makes batches of mutated packets.

    Args:
        corpus: (link type, octets) of sound packets; long ones are cut.
    """

    def __init__(self, corpus: Sequence[tuple[int, bytes]]) -> None:
        self._links = np.array([link for link, _ in corpus], np.uint16)
        self._sizes = np.array([min(len(octets), WIDTH) for _, octets in corpus])
        self._wire = np.array([len(octets) for _, octets in corpus])
        rows = [octets[:WIDTH].ljust(WIDTH, b"\0") for _, octets in corpus]
        self._rows = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, WIDTH)

    def batch(self, rng: np.random.Generator, count: int) -> PacketBatch:
        """``count`` mutated packets; random octets stand between them."""
        chosen = rng.integers(0, len(self._rows), count)
        rows, size = self._rows[chosen], self._sizes[chosen]
        size = _cut(rng, size)
        _splice(rng, rows, self._rows)
        for _ in range(_DAMAGES):
            _set_octets(rng, rows, size)
        _set_words(rng, rows, size)
        data = np.concatenate([rows.reshape(-1), np.zeros(GUARD_BYTES, np.uint8)])
        links = np.where(_some(rng, count, 0.05), rng.choice(list(LINKS), count), self._links[chosen])
        batch = PacketBatch(
            data=data,
            start=np.arange(count) * WIDTH,
            cap_len=size,
            wire_len=_wire_lengths(rng, size, self._wire[chosen]),
            ts_us=_times(rng, count),
            linktype=links.astype(np.uint16),
        )
        return with_noise(batch, rng)


def with_noise(batch: PacketBatch, rng: np.random.Generator) -> PacketBatch:
    """The same packets with random octets behind each: nobody may look at those."""
    rows = batch.data[:-GUARD_BYTES].reshape(-1, WIDTH).copy()
    noise = rng.integers(0, 256, rows.shape, np.uint8)
    behind = np.arange(WIDTH) >= batch.cap_len[:, None]
    rows[behind] = noise[behind]
    return replace(batch, data=np.concatenate([rows.reshape(-1), rng.integers(0, 256, GUARD_BYTES, np.uint8)]))


def _some(rng: np.random.Generator, count: int, share: float) -> np.ndarray:
    return rng.random(count) < share


def _cut(rng: np.random.Generator, size: np.ndarray) -> np.ndarray:
    """A quarter is cut short; a few gain octets."""
    shorter = (rng.random(len(size)) * (size + 1)).astype(np.int64)
    longer = rng.integers(size, WIDTH + 1)
    size = np.where(_some(rng, len(size), 0.25), shorter, size)
    return np.where(_some(rng, len(size), 0.05), longer, size)


def _splice(rng: np.random.Generator, rows: np.ndarray, others: np.ndarray) -> None:
    """A tenth goes on as another packet."""
    mixed = np.flatnonzero(_some(rng, len(rows), 0.1))
    other = others[rng.integers(0, len(others), len(mixed))]
    cut = rng.integers(0, 100, len(mixed))
    rows[mixed] = np.where(np.arange(WIDTH) >= cut[:, None], other, rows[mixed])


def _set_octets(rng: np.random.Generator, rows: np.ndarray, size: np.ndarray) -> None:
    """A third gets one octet changed, mostly in its headers: a special value, one bit, or anything."""
    hit = np.flatnonzero(_some(rng, len(rows), 0.33) & (size > 0))
    at = (rng.random(len(hit)) ** 1.5 * size[hit]).astype(np.int64)
    bit = rows[hit, at] ^ (1 << rng.integers(0, 8, len(hit))).astype(np.uint8)
    ways = np.stack([rng.choice(_OCTETS, len(hit)), bit, rng.integers(0, 256, len(hit), np.uint8)])
    rows[hit, at] = ways[rng.integers(0, 3, len(hit)), np.arange(len(hit))]


def _set_words(rng: np.random.Generator, rows: np.ndarray, size: np.ndarray) -> None:
    """A third gets an extreme or telling 16-bit number somewhere."""
    hit = np.flatnonzero(_some(rng, len(rows), 0.33) & (size > 1))
    at = (rng.random(len(hit)) * (size[hit] - 1)).astype(np.int64)
    word = rng.choice(_WORDS, len(hit))
    rows[hit, at], rows[hit, at + 1] = word >> 8, word & 0xFF


def _wire_lengths(rng: np.random.Generator, size: np.ndarray, sound: np.ndarray) -> np.ndarray:
    claimed = np.where(_some(rng, len(size), 0.1), rng.choice(_WIRE, len(size)), sound)
    return np.maximum(claimed, size)


def _times(rng: np.random.Generator, count: int) -> np.ndarray:
    """Capture times within what the readers can give; some batches stand still, some have a broken clock."""
    steps = rng.choice(_STEPS_US, count) * _some(rng, count, rng.choice([0.0, 0.01, 0.3]))
    broken = _some(rng, count, rng.choice([0.0, 0.0, 0.001, 0.2]))
    base = rng.choice([0, 1, BASE_US, 1 << 61])
    times = base + np.cumsum(steps + 50) + np.where(broken, rng.choice(_LEAPS_US, count), 0)
    return np.where(_some(rng, count, rng.choice([0.0, 0.2])), 0, times)
