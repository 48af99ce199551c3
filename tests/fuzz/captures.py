"""Mutated capture files through the readers."""

from __future__ import annotations

import gzip
from pathlib import Path
from struct import pack_into

import numpy as np

from emtc_agent.packets import GUARD_BYTES
from emtc_agent.sources import open_capture
from emtc_agent.sources.buffer import SMALL_BUFFER_BYTES
from emtc_agent.sources.chain import MAX_CAPTURED, find_records, walk
from emtc_contract.errors import CaptureError

FILES = 20
_ODD_WORDS = [0, 1, 2, 3, 6, 11, 12, 16, 28, 32, 65_535, MAX_CAPTURED, MAX_CAPTURED + 1, 2**31 - 1, 2**31, 2**32 - 1]


def mutated(rng: np.random.Generator, whole: bytes, others: list[bytes]) -> bytes:
    """A capture with a few things wrong: octets, words, its end, pieces doubled, dropped or of another one."""
    is_packed = whole[:2] == b"\x1f\x8b"
    unpack = is_packed and rng.random() < 0.7  # else damage is done to the gzip itself
    octets = bytearray(gzip.decompress(whole) if unpack else whole)
    for _ in range(rng.integers(1, 5)):
        _damage(rng, octets, others)
    return gzip.compress(octets, 1) if unpack else bytes(octets)


def _damage(rng: np.random.Generator, octets: bytearray, others: list[bytes]) -> None:
    if len(octets) < 8:
        octets += b"\xd4\xc3\xb2\xa1\2\0\4\0"
    at = int(rng.integers(0, len(octets) - 4))
    size = int(rng.integers(1, 200))
    kind = rng.integers(0, 7)
    if kind == 0:
        octets[at] = rng.integers(0, 256)
    elif kind == 1:
        pack_into(rng.choice(["<I", ">I"]), octets, at & ~3, int(rng.choice(_ODD_WORDS)))
    elif kind == 2:
        del octets[at:]
    elif kind == 3:
        del octets[at : at + size]
    elif kind == 4:
        octets[at:at] = octets[at : at + size]
    elif kind == 5:
        other = others[rng.integers(0, len(others))]
        begin = int(rng.integers(0, len(other)))
        octets[at:at] = other[begin : begin + size]
    else:
        octets[at : at + size] = rng.bytes(size)


def check_reading(rng: np.random.Generator, path: Path) -> None:
    """A refusal with a reason, or packets inside the buffer, the same ones for all sizes of reads and batches."""
    odd_size = SMALL_BUFFER_BYTES + int(rng.integers(0, 100_000))
    assert _read(path, 65_536, 2 * SMALL_BUFFER_BYTES) == _read(path, int(rng.integers(1, 99)), odd_size)


def _read(path: Path, batch_packets: int, buffer_bytes: int):
    seen: dict[str, list[bytes]] = {"time": [], "link type": [], "length": [], "octets": []}
    try:
        with open_capture(path, batch_packets, buffer_bytes) as reader:
            for batch in reader:
                end = batch.start + batch.cap_len
                assert 0 < len(batch) <= batch_packets
                assert (batch.start >= 0).all()
                assert (batch.cap_len >= 0).all()
                assert (batch.wire_len >= batch.cap_len).all()
                assert (batch.start[1:] >= end[:-1]).all()
                assert (end + GUARD_BYTES <= len(batch.data)).all()
                seen["time"].append(batch.ts_us.tobytes())
                seen["link type"].append(batch.linktype.tobytes())
                seen["length"].append(np.stack([batch.cap_len, batch.wire_len], 1).tobytes())
                packets = zip(batch.start.tolist(), end.tolist(), strict=True)
                seen["octets"] += [batch.data[begin:end].tobytes() for begin, end in packets]
    except CaptureError as error:
        return str(error)
    return {name: b"".join(parts) for name, parts in seen.items()}, reader.stats


def check_records(octets: bytes) -> None:
    """The fast path through the records of a pcap ends where the plain loop does."""
    padded = np.frombuffer(octets[24:] + bytes(GUARD_BYTES), np.uint8)
    end = len(octets) - 24
    for order in "<>":
        fast, plain = find_records(padded, end, order), walk(padded, 0, end, order)
        assert fast.starts.tolist() == plain.starts.tolist()
        assert (fast.end, fast.absurd) == (plain.end, plain.absurd)


def fuzz_round(rng: np.random.Generator, captures: list[bytes], path: Path) -> int:
    """Some files; returns how many. The file that fails is left at ``path``."""
    for _ in range(FILES):
        octets = mutated(rng, captures[rng.integers(0, len(captures))], captures)
        path.write_bytes(octets)
        check_reading(rng, path)
        if len(octets) > 24:
            check_records(octets)
    return FILES
