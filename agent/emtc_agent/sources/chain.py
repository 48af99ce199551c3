"""Where the records of a pcap buffer begin: each position depends on the one before.

Long buffers are cut into segments; in each a record start is guessed (plausible times and lengths over a few
hops), all chains advance in lock step, and the guess is proved: every chain must land exactly on the start of
the next one. Otherwise the plain loop decides. Both give the same positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

import numpy as np

from emtc_agent.packets import Bool, Bytes, Int64, UInt32

HEADER_BYTES = 16
MAX_CAPTURED = 262_144
_SEGMENTS = 256
_SEARCH_BYTES = 2_048
_HOPS = 4
_NEAR_S = 7 * 86_400
_WORTH_BYTES = 256 * 1024
_FEW_CHAINS = 8


@dataclass(frozen=True, slots=True)
class Chain:
    """Complete records of a buffer.

    Attributes:
        starts: (N,) where each record header begins.
        end: Where the first incomplete or absurd record begins.
        absurd: Whether that record has an impossible length.
    """

    starts: Int64
    end: int
    absurd: bool


def find_records(octets: Bytes, end: int, byte_order: str) -> Chain:
    """Find the records in ``octets[:end]``, the first one at 0.

    Args:
        octets: Bytes; at least 16 more than ``end`` are readable.
        end: Valid bytes.
        byte_order: ``"<"`` or ``">"``.
    """
    if end >= _WORTH_BYTES:
        words = np.ndarray((len(octets) - 3,), f"{byte_order}u4", buffer=octets, strides=(1,))
        guess = _guess_starts(words, end)
        if len(guess) >= _FEW_CHAINS:
            chain = _prove(words, octets, guess, end, byte_order)
            if chain is not None:
                return chain
    return walk(octets, 0, end, byte_order)


def walk(octets: Bytes, begin: int, end: int, byte_order: str) -> Chain:
    """The plain loop: from one record to the next."""
    captured_at = Struct(f"{byte_order}I").unpack_from
    starts = []
    at = begin
    absurd = False
    while at + HEADER_BYTES <= end:
        captured = captured_at(octets.data, at + 8)[0]
        if captured > MAX_CAPTURED:
            absurd = True
            break
        following = at + HEADER_BYTES + captured
        if following > end:
            break
        starts.append(at)
        at = following
    return Chain(np.array(starts, np.int64), at, absurd)


def _guess_starts(words: UInt32, end: int) -> Int64:
    """One plausible record start in each segment that has one; the first is 0."""
    segment = np.linspace(0, end - _SEARCH_BYTES - HEADER_BYTES, _SEGMENTS + 1).astype(np.int64)[1:-1]
    base = np.uint32((int(words[0]) - _NEAR_S) & 0xFFFF_FFFF)
    near = words[segment[:, None] + np.arange(_SEARCH_BYTES)] - base <= np.uint32(2 * _NEAR_S)
    which, offset = np.nonzero(near)
    at = segment[which] + offset
    plausible = _holds(words, at, end, base)
    which, at = which[plausible], at[plausible]
    first = np.ones(len(which), bool)
    first[1:] = which[1:] != which[:-1]
    return np.concatenate([[0], at[first]])


def _holds(words: UInt32, at: Int64, end: int, base: np.uint32) -> Bool:
    """Whether a chain of plausible records starts at each position."""
    good = np.ones(len(at), bool)
    last = end - HEADER_BYTES
    for _ in range(_HOPS):
        captured, wire = words[at + 8], words[at + 12]
        good &= (captured <= wire) & (wire <= MAX_CAPTURED) & (captured > 0)
        at = np.minimum(at + HEADER_BYTES + np.where(good, captured, 0).astype(np.int64), last)
        good &= (words[at] - base <= np.uint32(2 * _NEAR_S)) | (at == last)
    return good


def _prove(words: UInt32, octets: Bytes, starts: Int64, end: int, byte_order: str) -> Chain | None:
    """Advance all chains; None unless each lands on the next one's start."""
    limit = np.append(starts[1:], end)
    landed = starts.copy()
    active = np.arange(len(starts))
    at, goal = starts, limit
    found = []
    while len(active) >= _FEW_CHAINS:
        captured = words[at + 8]
        if (captured > MAX_CAPTURED).any():
            return None
        following = at + (captured.astype(np.int64) + HEADER_BYTES)
        done = following >= goal
        found.append(at[following <= goal])
        if done.any():
            landed[active[done]] = following[done]
            if (following > goal)[:-1].any() or ((following > goal)[-1] and active[-1] != len(starts) - 1):
                return None
            if following[-1] > goal[-1]:
                landed[-1] = at[-1]  # the last record is not complete
            active, at, goal = active[~done], following[~done], goal[~done]
        else:
            at = following
    absurd = False
    for chain, first, last in zip(active.tolist(), at.tolist(), goal.tolist(), strict=True):
        rest = walk(octets, first, last, byte_order)
        found.append(rest.starts)
        landed[chain] = rest.end
        absurd |= rest.absurd
    if (landed[:-1] != starts[1:]).any():
        return None
    merged = np.concatenate(found)
    merged.sort()
    return Chain(merged, int(landed[-1]), absurd)
