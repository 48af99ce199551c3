"""From packet columns to the pool: what windows need to know of each packet."""

from __future__ import annotations

import numpy as np

from emtc_agent.columns import L3, Columns, Hints
from emtc_agent.packets import Int64
from emtc_agent.windows.hashing import KeyedHash
from emtc_agent.windows.pool import Pool
from emtc_agent.windows.remotes import number_remotes
from emtc_agent.windows.traits import direct, packet_traits, service_of

MAX_SIZE = 262_143


def write_packets(columns: Columns, hints: Hints, clock_us: Int64, base: int, keyed: KeyedHash, into: Pool) -> None:
    """Write the packets of a batch into the pool.

    Args:
        columns: Decoded packets.
        hints: Their application hints.
        clock_us: (N,) their stream time.
        base: Position in the stream of the first packet.
        keyed: Hash of the process.
        into: N packets.
    """
    port, service = service_of(columns)
    into.clock_us[:] = clock_us
    into.position[:] = np.arange(base, base + len(columns))
    into.service[:] = port | columns.proto.astype(np.uint32) << np.uint32(16)
    np.minimum(columns.net_len, MAX_SIZE, out=into.size)
    direct(columns, packet_traits(columns, hints, service), into.traits)
    others = np.flatnonzero(columns.l3 != np.uint8(L3.IPV4))
    number_remotes(columns.src_hi, columns.src_lo, others, keyed, into.remote[:, 0])
    number_remotes(columns.dst_hi, columns.dst_lo, others, keyed, into.remote[:, 1])
    for pair, source, destination in (
        (into.address_hi, columns.src_hi, columns.dst_hi),
        (into.address_lo, columns.src_lo, columns.dst_lo),
        (into.port, columns.src_port, columns.dst_port),
    ):
        pair[:, 0], pair[:, 1] = source, destination
    for name in ("ts_us", "ttl", "arp_mac", "teid"):
        getattr(into, name)[:] = getattr(columns, name)
    into.dns_id[:], into.dns_name_len[:] = hints.dns_id, hints.dns_name_len
