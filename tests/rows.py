"""Made-up benign rows, for tests that need no trainer."""

from __future__ import annotations

import numpy as np

from emtc_contract.edge_v1 import EDGE_V1


def benign_rows(seed: int, rows: int = 400) -> np.ndarray:
    """(N, F) float32: counts and shares that hang together, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    level = rng.random((rows, 1))
    kinds = np.array([feature.scale == "log" for feature in EDGE_V1.features])
    noise = rng.random((rows, len(kinds)))
    return np.where(kinds, 20 * level + 4 * noise, 0.5 * level + 0.1 * noise).astype(np.float32)
