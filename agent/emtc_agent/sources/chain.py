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
_SEGMENT_BYTES = 10_000
_TAIL_BYTES = 12_288  # left to the plain loop, so that no chain runs off the end while it waits for the others
_SEARCHES = ((0, 320), (320, 1_600))  # most segments have a record in the first; 1,600: a full Ethernet frame
_MANY = 32  # per segment; as many records as the searches can hold, and a few more
_HOPS = 2
_NEAR_S = 7 * 86_400
_NEAR_HIGH = (_NEAR_S >> 16) + 1
_WORTH_BYTES = 256 * 1024
_FEW_CHAINS = 8
_STRIDE = 8
_CAPTURED_AT = 8
_PASSED = np.arange(_STRIDE + 1)[:, None] * HEADER_BYTES


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
    data = octets.data
    starts = []
    at = begin
    absurd = False
    while at + HEADER_BYTES <= end:
        captured = captured_at(data, at + _CAPTURED_AT)[0]
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
    count = (end - _TAIL_BYTES) // _SEGMENT_BYTES
    segments = octets[: count * _SEGMENT_BYTES].reshape(count, _SEGMENT_BYTES)
    first_byte = np.arange(count) * _SEGMENT_BYTES
    found = np.full(count, -1)
    missing: Int64 | slice = slice(None)
    for begin, stop in _SEARCHES:
        row, offset = _near_first(segments[missing, begin : stop + HEADER_BYTES], octets, byte_order)
        at = first_byte[missing][row] + begin + offset
        held = at[_holds(words, at, end)][::-1]  # of several in a segment, the first is written last
        found[held // _SEGMENT_BYTES] = held
        missing = np.flatnonzero(found < 0)
    found[0] = 0
    return found[found >= 0]


def _near_first(rows: Bytes, octets: Bytes, byte_order: str) -> tuple[Int64, Int64]:
    """(C,) row and column of each header whose seconds are near the first record's; they must fit into the row."""
    top, high = (3, 2) if byte_order == "<" else (0, 1)  # the two highest bytes of the seconds
    width = rows.shape[1] - HEADER_BYTES
    oldest = np.uint8((int(octets[high]) - _NEAR_HIGH) & 0xFF)
    candidate = rows[:, high : high + width] - oldest <= np.uint8(2 * _NEAR_HIGH)
    candidate &= rows[:, top : top + width] == octets[top]
    places = np.flatnonzero(candidate)
    if len(places) > _MANY * len(rows):  # payload that looks like times everywhere: the plain loop is quicker
        places = places[:0]
    row, column = np.divmod(places, width)
    return row, column


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
    at, goal = starts[:-1].copy(), starts[1:]
    going = np.arange(len(goal))
    blocks = []
    while len(going):
        try:
            steps = _stride(words, at[going])
        except IndexError:  # led beyond the buffer
            return None
        block = steps[:-1]
        if len(going) < len(at):
            block = np.empty((_STRIDE, len(at)), np.int64)
            block[:] = at
            block[:, going] = steps[:-1]
        blocks.append(block)
        at[going] = steps[-1]
        going = going[steps[-1] < goal[going]]
    by_chain = np.concatenate([*blocks, at[None]]).T.copy()
    here = by_chain < goal[:, None]
    landed = by_chain[np.arange(len(goal)), here.argmin(axis=1)]
    found = by_chain[here]
    if (landed != goal).any() or np.diff(found).max(initial=0) > MAX_CAPTURED + HEADER_BYTES:
        return None
    rest = walk(octets, int(starts[-1]), end, byte_order)
    return Chain(np.concatenate([found, rest.starts]), rest.end, rest.absurd)


def _stride(words: UInt32, at: Int64) -> Int64:
    """(_STRIDE + 1, K) where each of K chains comes step by step, those before ``at`` (K,) included.

    Those that have landed go on where the next one has been: harmless.
    """
    steps = np.empty((_STRIDE + 1, len(at)), np.int64)
    steps[0] = at
    for step in range(_STRIDE):  # ``at`` leaves out the record headers passed; the view makes up for them
        at = np.add(at, words[_CAPTURED_AT + step * HEADER_BYTES :][at], out=steps[step + 1])
    steps += _PASSED
    return steps
