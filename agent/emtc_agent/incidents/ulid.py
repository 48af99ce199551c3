"""ULIDs: 48 bits of time and 80 random bits in 26 characters (github.com/ulid/spec), so ids sort by time."""

from __future__ import annotations

import random

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid(ts_us: int, rng: random.Random) -> str:
    """A ULID for a moment, with the random part from ``rng``."""
    value = (max(ts_us, 0) // 1000 & (1 << 48) - 1) << 80 | rng.getrandbits(80)
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))
