"""Packet batches straight from octets, without a capture file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emtc_agent.packets import GUARD_BYTES, PacketBatch


def batch_of(
    octets: Sequence[bytes],
    ts_us: Sequence[int] | None = None,
    *,
    linktype: int = 1,
    wire_len: Sequence[int] | None = None,
) -> PacketBatch:
    """A batch of packets of one link type."""
    captured = np.array([len(one) for one in octets], np.int64)
    return PacketBatch(
        data=np.frombuffer(b"".join(octets) + bytes(GUARD_BYTES), np.uint8),
        start=np.cumsum(captured) - captured,
        cap_len=captured,
        wire_len=captured.copy() if wire_len is None else np.array(wire_len, np.int64),
        ts_us=np.arange(len(octets)) * 1000 if ts_us is None else np.array(ts_us, np.int64),
        linktype=np.full(len(octets), linktype, np.uint16),
    )
