"""One number for each remote address and for each (remote, service) pair, so that a window can sort what it used.

Layout: IPv4 addresses stand as they are, others as a keyed hash that cannot be mistaken for one::

    bits 63..56   0xFF for IPv4; else the top of the hash, never 0xFF
    bits 55..24   the IPv4 address; else more of the hash
    bits 23..16   IP protocol    of pairs; 0 for the remote alone
    bits 15..0    service port   of pairs; 0 for the remote alone

``NOBODY`` is the largest of all: no packet has both the address, the protocol and the port that it would stand for.
"""

from __future__ import annotations

import numpy as np

from emtc_agent.packets import Int64, UInt64
from emtc_agent.windows.hashing import KeyedHash

NOBODY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
REMOTE = np.uint64(0xFFFF_FFFF_FF00_0000)
"""The bits of the remote alone."""

_SERVICE_BITS = np.uint64(24)
_NOT_IPV4 = np.uint64(0x7FFF_FFFF_FFFF_FFFF)
_MAPPED = np.uint64(0xFFFF)
_HIGH_BITS = np.uint64(32)


def number_remotes(high: UInt64, low: UInt64, others: Int64, keyed: KeyedHash, numbers: UInt64) -> None:
    """Write the numbers of addresses; ``NOBODY`` where there is none.

    Args:
        high, low: (N,) halves of the addresses.
        others: Packets that may have something else than an IPv4 address.
        keyed: Hash of the process.
        numbers: (N,) where to.
    """
    np.left_shift(low, _SERVICE_BITS, out=numbers)
    if len(others):
        high, low = high[others], low[others]
        hashed = np.where((high | low) == 0, NOBODY, keyed(low, high) & REMOTE & _NOT_IPV4)
        numbers[others] = np.where((high == 0) & (low >> _HIGH_BITS == _MAPPED), numbers[others], hashed)
