"""Made-up scored windows of a site, for tests of learning: no model, no packets."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

import emtc_agent
from emtc_agent.detector import Bundle, Scored, load_bundle
from emtc_agent.windows.windows import Windows, empty_windows

SHIPPED = Path(emtc_agent.__file__).parent / "data" / "default.bundle"
SECOND = 1_000_000
START_US = 1_795_000_000 * SECOND
COLUMNS = 59


@cache
def shipped() -> Bundle:
    """The bundle that comes with the agent."""
    return load_bundle(SHIPPED)


def windows_of(last_us, devices, features=None) -> Windows:
    """Windows that end at these times, each of the device with that number (one for all, or one each)."""
    last_us = np.asarray(last_us, np.int64)
    empty = empty_windows(COLUMNS)
    size = len(last_us)
    values = {name: np.zeros(size, getattr(empty, name).dtype) for name in empty.__slots__ if name != "features"}
    values["kind"] = np.full(size, 2, np.uint8)
    values["id_lo"] = (0xFFFF_0A00_0000 + np.broadcast_to(devices, size)).astype(np.uint64)
    values["ip_lo"] = values["id_lo"]
    values["last_us"], values["first_us"] = last_us, last_us - SECOND // 10
    rows = np.zeros((size, COLUMNS)) if features is None else np.asarray(features, float)
    return Windows(features=rows, **values)


def scored_of(p_value, errors=None, score=None) -> Scored:
    """All windows of a batch, scored."""
    p_value = np.asarray(p_value, float)
    size = len(p_value)
    errors = np.ones((size, COLUMNS), np.float32) if errors is None else np.asarray(errors, np.float32)
    score = 0.5 * errors.sum(1) if score is None else np.asarray(score)
    return Scored(np.arange(size), score.astype(np.float32), p_value, p_value <= 0.01, errors)


def key(device: int) -> tuple[int, int, int]:
    """The device as ``Windows`` call it."""
    return 2, 0, 0xFFFF_0A00_0000 + device


def flood_features(size: int) -> np.ndarray:
    """Rows that look like a flood to ``family.vote``."""
    rows = np.zeros((size, COLUMNS))
    for column, value in (("packets_per_s", 5_000), ("packets", 256)):
        rows[:, shipped().schema.index(column)] = value
    return rows


def benign_errors(rng: np.random.Generator, size: int, louder: dict[int, float] | None = None) -> np.ndarray:
    """(size, F) errors with mean 1, as on the training data; some columns multiplied."""
    errors = rng.chisquare(1, (size, COLUMNS))
    for column, factor in (louder or {}).items():
        errors[:, column] *= factor
    return errors.astype(np.float32)
