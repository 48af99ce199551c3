"""From packet columns to the records of endpoints: the packet as its endpoint sees it."""

from __future__ import annotations

import numpy as np

from emtc_agent.columns import Columns, Hints
from emtc_agent.packets import Int64, UInt16, UInt64
from emtc_agent.windows.attribution import Records
from emtc_agent.windows.hashing import KeyedHash
from emtc_agent.windows.pool import Pool
from emtc_agent.windows.runs import NOBODY
from emtc_agent.windows.traits import packet_traits, service_port, tcp_index, with_direction

MAX_SIZE = 262_143
_PROTO_SHIFT = np.uint64(16)


def pool_of(columns: Columns, hints: Hints, clock_us: Int64, base: int, records: Records, keyed: KeyedHash) -> Pool:
    """The records of a batch with all that windows need.

    Args:
        columns: Decoded packets.
        hints: Their application hints.
        clock_us: (N,) their stream time.
        base: Position in the stream of the first packet.
        records: Whose packets they are.
        keyed: Hash of the process.
    """
    packet, up = records.packet, records.up
    service = service_port(columns)
    traits = packet_traits(columns, hints, service)
    service, proto = service[packet], columns.proto[packet]
    src_hi, src_lo = columns.src_hi[packet], columns.src_lo[packet]
    dst_hi, dst_lo = columns.dst_hi[packet], columns.dst_lo[packet]
    src_port, dst_port = columns.src_port[packet], columns.dst_port[packet]
    remote, remote_service = _remote_tags(
        np.where(up, dst_hi, src_hi), np.where(up, dst_lo, src_lo), service, proto.astype(np.uint64), keyed
    )
    return Pool(
        clock_us=clock_us[packet],
        ts_us=columns.ts_us[packet],
        order=(records.index() + base) * 2 + ~up,
        size=np.minimum(columns.net_len, MAX_SIZE)[packet],
        traits=with_direction(traits[packet], tcp_index(columns)[packet], columns.op[packet], up),
        remote=remote,
        remote_service=remote_service,
        local_port=np.where(up, src_port, dst_port),
        remote_port=np.where(up, dst_port, src_port),
        service=service,
        proto=proto,
        ttl=columns.ttl[packet],
        src_hi=src_hi,
        src_lo=src_lo,
        dst_hi=dst_hi,
        dst_lo=dst_lo,
        dns_id=hints.dns_id[packet],
        dns_name_len=hints.dns_name_len[packet],
        arp_mac=columns.arp_mac[packet],
        teid=columns.teid[packet],
    )


def _remote_tags(hi: UInt64, lo: UInt64, service: UInt16, proto: UInt64, keyed: KeyedHash) -> tuple[UInt64, UInt64]:
    """Hashes of the remote, and of the remote with the service; ``NOBODY`` where there is no remote."""
    remote = keyed(lo, hi)
    remote_service = keyed(remote, service | proto << _PROTO_SHIFT)
    nobody = (hi | lo) == 0
    if nobody.any():
        remote[nobody] = remote_service[nobody] = NOBODY
    return remote, remote_service
