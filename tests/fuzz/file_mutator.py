"""Mutated captures: octets anywhere, and whole records, blocks and gzip members."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from struct import pack_into, unpack_from

import numpy as np

Rng = np.random.Generator
_GZIP = b"\x1f\x8b"
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_NUMBERS = (0, 1, 2, 3, 4, 11, 12, 15, 16, 0x7FFF, 0xFFFF, 262_144, 262_145, 1 << 20, 0x7FFF_FFFF, 0xFFFF_FFFF)
_MOST_BYTES = 1 << 19


def mutated(rng: Rng, content: bytes, others: Sequence[bytes]) -> bytes:
    """A mutant of a capture; ``others`` are spliced in.

    Gzipped captures are mostly mutated inside and packed again; some mutants are packed that were not.
    """
    packed = content.startswith(_GZIP)
    if packed and rng.random() < 0.6:
        content = _unpacked(content)
        packed = False
        pack_again = True
    else:
        pack_again = not packed and rng.random() < 0.1
    for _ in range(int(rng.integers(1, 5))):
        change = _CHANGES[int(rng.integers(0, len(_CHANGES)))]
        content = change(rng, content, others)[:_MOST_BYTES]
    return _packed(rng, content) if pack_again else content


def _unpacked(content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return content


def _packed(rng: Rng, content: bytes) -> bytes:
    """One member or two, now and then with something behind or something missing."""
    at = _at(rng, content)
    members = [content] if rng.random() < 0.5 else [content[:at], content[at:]]
    made = b"".join(gzip.compress(member, 1) for member in members)
    ends = (made, made, made + bytes(9), made + b"junk", made[: _at(rng, made)], made + _GZIP)
    return ends[int(rng.integers(0, len(ends)))]


def _at(rng: Rng, content: bytes) -> int:
    return int(rng.integers(0, len(content) + 1))


def _octet(rng: Rng, content: bytes, others: Sequence[bytes]) -> bytes:
    """One octet, more likely near the front."""
    out = bytearray(content)
    if out:
        out[int(rng.random() ** 3 * len(out))] = int(rng.integers(0, 256))
    return bytes(out)


def _bits(rng: Rng, content: bytes, others: Sequence[bytes]) -> bytes:
    """Single bits in a hundredth of the octets."""
    out = np.frombuffer(content, np.uint8).copy()
    hit = rng.random(len(out)) < 0.01
    out[hit] ^= (1 << rng.integers(0, 8, int(hit.sum()))).astype(np.uint8)
    return out.tobytes()


def _cut(rng: Rng, content: bytes, others: Sequence[bytes]) -> bytes:
    return content[: _at(rng, content)]


def _delete(rng: Rng, content: bytes, others: Sequence[bytes]) -> bytes:
    at = _at(rng, content)
    return content[:at] + content[at + int(rng.integers(1, 40)) :]


def _insert(rng: Rng, content: bytes, others: Sequence[bytes]) -> bytes:
    at = _at(rng, content)
    return content[:at] + rng.bytes(int(rng.integers(1, 40))) + content[at:]


def _splice(rng: Rng, content: bytes, others: Sequence[bytes]) -> bytes:
    """The beginning of this one and the end of another."""
    other = others[int(rng.integers(0, len(others)))]
    return content[: _at(rng, content)] + other[_at(rng, other) :]


def _set_number(rng: Rng, content: bytes, others: Sequence[bytes]) -> bytes:
    """A field in a header of a record or block takes a telling value."""
    out = bytearray(content)
    starts = _starts(content)
    at = starts[int(rng.integers(0, len(starts)))] + 4 * int(rng.integers(0, 7))
    if at + 4 <= len(out):
        number = _NUMBERS[int(rng.integers(0, len(_NUMBERS)))]
        pack_into("<I" if rng.random() < 0.5 else ">I", out, at, number)
    return bytes(out)


def _pieces(rng: Rng, content: bytes, others: Sequence[bytes]) -> bytes:
    """Records or blocks are dropped, repeated or exchanged."""
    edges = [*_starts(content), len(content)]
    pieces = [content[a:b] for a, b in pairwise(edges)]
    here, there = (int(rng.integers(0, len(pieces))) for _ in range(2)) if pieces else (0, 0)
    way = rng.integers(0, 3)
    if way == 0:
        del pieces[here:there]
    elif way == 1:
        pieces[here:here] = pieces[there : there + 5] * int(rng.integers(1, 9))
    elif pieces:
        pieces[here], pieces[there] = pieces[there], pieces[here]
    return b"".join(pieces)


def _starts(content: bytes) -> list[int]:
    """Where records of a pcap or blocks of a pcapng seem to begin; the file's own header is the first."""
    order = "<" if content[:1] in (b"\xd4", b"\x4d") or content[8:12] == b"\x4d\x3c\x2b\x1a" else ">"
    is_pcapng = content[:4] == _PCAPNG
    starts, at = [0], 0 if is_pcapng else 24
    while at + 16 <= len(content) and len(starts) < 5_000:
        starts.append(at)
        size = unpack_from(order + "I", content, at + (4 if is_pcapng else 8))[0]
        at += max(size, 12) if is_pcapng else size + 16
    return starts


_CHANGES: tuple[Callable[[Rng, bytes, Sequence[bytes]], bytes], ...] = (
    *(_octet, _octet, _bits, _cut, _delete, _insert, _splice),
    *(_set_number, _set_number, _set_number, _pieces, _pieces),
)
