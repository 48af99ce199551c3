"""From packet columns to the records of endpoints: the packet as its endpoint sees it."""

from __future__ import annotations

import numpy as np

from emtc_agent.columns import Columns, Hints
from emtc_agent.packets import Bool, Int64, UInt16, UInt64
from emtc_agent.windows.attribution import Records
from emtc_agent.windows.pool import Pool
from emtc_agent.windows.traits import packet_traits, service_port, tcp_index, with_direction

MAX_SIZE = 262_143


def pool_of(columns: Columns, hints: Hints, clock_us: Int64, base: int, records: Records, order: Int64) -> Pool:
    """The records ``records[order]`` with all that windows need.

    Args:
        columns: Decoded packets.
        hints: Their application hints.
        clock_us: (N,) their stream time.
        base: Position in the stream of the first packet.
        records: Whose packets they are.
        order: (M,) which records, in which order.
    """
    packet, up = records.packet[order], records.up[order]
    service = service_port(columns)
    traits = packet_traits(columns, hints, service)
    traits = with_direction(traits[packet], tcp_index(columns)[packet], columns.op[packet], up)
    remote_hi, own_hi = _sides(columns.src_hi, columns.dst_hi, packet, up)
    remote_lo, own_lo = _sides(columns.src_lo, columns.dst_lo, packet, up)
    remote_port, local_port = _port_sides(columns, packet, up)
    return Pool(
        clock_us=clock_us[packet],
        ts_us=columns.ts_us[packet],
        order=(packet + base) * 2 + ~up,
        size=np.minimum(columns.net_len, MAX_SIZE)[packet],
        traits=traits,
        remote_hi=remote_hi,
        remote_lo=remote_lo,
        own_hi=own_hi,
        own_lo=own_lo,
        local_port=local_port,
        remote_port=remote_port,
        service=service[packet],
        proto=columns.proto[packet],
        ttl=columns.ttl[packet],
        dns_id=hints.dns_id[packet],
        dns_name_len=hints.dns_name_len[packet],
        arp_mac=columns.arp_mac[packet],
        teid=columns.teid[packet],
    )


def _sides(src: UInt64, dst: UInt64, packet: Int64, up: Bool) -> tuple[UInt64, UInt64]:
    """Remote and own value of each record."""
    sent, received = src[packet], dst[packet]
    return np.where(up, received, sent), np.where(up, sent, received)


def _port_sides(columns: Columns, packet: Int64, up: Bool) -> tuple[UInt16, UInt16]:
    sent, received = columns.src_port[packet], columns.dst_port[packet]
    return np.where(up, received, sent), np.where(up, sent, received)
