"""Floods with forged senders, made column by column: millions of packets in a second."""

from __future__ import annotations

import numpy as np

import frames
from emtc_agent.packets import GUARD_BYTES, PacketBatch

RAW, ETHERNET = 101, 1
_SOURCE_AT, _PORT_AT = 12, 20


def syn_flood(count: int, target: str, *, sources: str, seed: int = 1, start_us: int = 0, ether: bool = False):
    """SYN packets to one target, 10 us apart, each from a random sender inside ``sources`` (its first octet).

    Without ``ether`` they are raw IP, so that each forged sender may become an endpoint.
    """
    rng = np.random.default_rng(seed)
    packet = frames.ipv4(frames.tcp(flags=0x02, dport=80), src=f"{sources}.0.0.0", dst=target)
    ip_at = 14 if ether else 0
    octets = np.frombuffer(frames.ether(packet, src=0xFE, dst=1) if ether else packet, np.uint8)
    data = np.tile(octets, (count, 1))
    data[:, ip_at + _SOURCE_AT + 1 : ip_at + _SOURCE_AT + 4] = rng.integers(0, 256, (count, 3), np.uint8)
    data[:, ip_at + _PORT_AT : ip_at + _PORT_AT + 2] = rng.integers(0, 256, (count, 2), np.uint8)
    length = np.full(count, len(octets), np.int64)
    return PacketBatch(
        data=np.concatenate([data.reshape(-1), np.zeros(GUARD_BYTES, np.uint8)]),
        start=np.arange(count) * len(octets),
        cap_len=length,
        wire_len=length.copy(),
        ts_us=start_us + np.arange(count) * 10,
        linktype=np.full(count, ETHERNET if ether else RAW, np.uint16),
    )


def octets_of(batch: PacketBatch) -> list[tuple[int, bytes]]:
    """(time, octets) of each packet, for writing a capture."""
    starts = zip(batch.ts_us.tolist(), batch.start.tolist(), batch.cap_len.tolist(), strict=True)
    return [(ts_us, batch.data[at : at + size].tobytes()) for ts_us, at, size in starts]
