"""A keyed 64-bit hash over columns, so that nobody can choose addresses that collide."""

from __future__ import annotations

import secrets

import numpy as np

from emtc_agent.packets import UInt64

_SHIFT = np.uint64(32)
_ODD = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93))  # Weyl constant; Degski's mixer


class KeyedHash:
    """Two rounds of xor-multiply-shift under a secret 128-bit key.

    Args:
        key: Fixed key for tests, 128 bits unless collisions are welcome; by default a fresh random one per process.
    """

    def __init__(self, key: int | None = None) -> None:
        secret = secrets.randbits(128) if key is None else key
        self._low = np.uint64(secret & 0xFFFF_FFFF_FFFF_FFFF)
        self._high = np.uint64((secret >> 64) | 1)

    def __call__(self, low: UInt64, high: UInt64) -> UInt64:
        """Hash (N,) pairs of 64-bit numbers to (N,) uint64."""
        mixed = (low ^ self._low) * self._high
        mixed ^= mixed >> _SHIFT
        mixed += high
        mixed *= _ODD[0]
        mixed ^= mixed >> _SHIFT
        mixed *= _ODD[1]
        mixed ^= mixed >> _SHIFT
        return mixed
