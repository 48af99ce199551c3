"""Where the records of a pcap buffer begin: each position depends on the one before.

Long buffers are cut into segments; in each a record start is guessed (plausible times and lengths over a few
hops), all chains advance in lock step, and the guess is proved: every chain must land exactly on the start of
the next one. Otherwise the plain loop decides. Both give the same positions, whoever wrote the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

import numpy as np

from emtc_agent.packets import Bool, Bytes, Int64, UInt32

HEADER_BYTES = 16
MAX_CAPTURED = 262_144
_SEGMENT_BYTES = 4_096
_FIRST_SEARCH_BYTES = 256
_SEARCH_BYTES = 1_600  # a full Ethernet frame and its record header
_HOPS = 4
_NEAR_S = 7 * 86_400
_NEAR_HIGH = (_NEAR_S >> 16) + 1
_WORTH_BYTES = 256 * 1024
_FEW_CHAINS = 8
_STRIDE = 8
_CAPTURED_AT = 8


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
        guess = _guess_starts(words, octets, end, byte_order)
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


def _guess_starts(words: UInt32, octets: Bytes, end: int, byte_order: str) -> Int64:
    """One plausible record start in each segment that has one; the first is 0."""
    count = (end - _SEARCH_BYTES - HEADER_BYTES) // _SEGMENT_BYTES
    begin = np.arange(1, count) * _SEGMENT_BYTES
    offset = _first_plausible(octets, begin, _FIRST_SEARCH_BYTES, byte_order)
    rest = np.flatnonzero(offset < 0)
    offset[rest] = _first_plausible(octets, begin[rest], _SEARCH_BYTES, byte_order)
    at = (begin + offset)[offset >= 0]
    return np.concatenate([[0], at[_holds(words, at, end)]])


def _first_plausible(octets: Bytes, begin: Int64, width: int, byte_order: str) -> Int64:
    """Offset from each of ``begin`` (K,), less than ``width``, whose seconds are near the first record's; or -1."""
    top, high = (3, 2) if byte_order == "<" else (0, 1)  # the two highest bytes of the seconds
    rows = np.lib.stride_tricks.sliding_window_view(octets, width + HEADER_BYTES)[begin]
    oldest = np.uint8((int(octets[high]) - _NEAR_HIGH) & 0xFF)
    candidate = rows[:, high : high + width] - oldest <= np.uint8(2 * _NEAR_HIGH)
    candidate &= rows[:, top : top + width] == octets[top]
    offset = candidate.argmax(axis=1)
    return np.where(candidate[np.arange(len(begin)), offset], offset, -1)


def _holds(words: UInt32, at: Int64, end: int) -> Bool:
    """Whether a chain of plausible records starts at each position."""
    good = np.ones(len(at), bool)
    last = end - HEADER_BYTES
    base = np.uint32((int(words[0]) - _NEAR_S) & 0xFFFF_FFFF)
    for _ in range(_HOPS):
        captured, wire = words[at + 8], words[at + 12]
        good &= (captured <= wire) & (wire <= MAX_CAPTURED) & (captured > 0)
        at = np.minimum(at + HEADER_BYTES + np.where(good, captured, 0).astype(np.int64), last)
        good &= (words[at] - base <= np.uint32(2 * _NEAR_S)) | (at == last)
    return good


def _prove(words: UInt32, octets: Bytes, starts: Int64, end: int, byte_order: str) -> Chain | None:
    """Advance all chains but the last to the next one's start; None unless each lands exactly there."""
    goal = starts[1:]
    captured = words[_CAPTURED_AT:]
    last = end - HEADER_BYTES
    at = starts[:-1]
    steps = [at]
    while (at < goal).any():
        for _ in range(_STRIDE):  # those that have landed go on where the next one has been: harmless
            at = np.minimum(at + captured[at] + HEADER_BYTES, last)
            steps.append(at)
    by_chain = np.stack(steps, axis=1)
    here = by_chain < goal[:, None]
    landed = by_chain[np.arange(len(goal)), here.argmin(axis=1)]
    found = by_chain[here]
    if (landed != goal).any() or np.diff(found).max(initial=0) > MAX_CAPTURED + HEADER_BYTES:
        return None
    rest = walk(octets, int(starts[-1]), end, byte_order)
    return Chain(np.concatenate([found, rest.starts]), rest.end, rest.absurd)
