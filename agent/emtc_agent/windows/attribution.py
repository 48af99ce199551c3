"""Whose packet is it: each packet becomes one record per endpoint that sent or received it.

An endpoint is a device behind the gateway, told by (see docs/decisions/003-endpoints.md):

1. inside a GTP-U tunnel, the device's inner address (its TEIDs differ by direction and change);
2. on a LAN with both link addresses, the MAC of the side whose IP lies in the device networks;
3. else the IP address in the device networks.

Traffic between two devices counts for both. If neither side is a device (spoofed sources from outside),
the packet counts for its destination (by IP), so a flood fills its victim's windows at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emtc_agent.columns import L3, Columns, Mark
from emtc_agent.packets import Bool, Int64, UInt8, UInt64
from emtc_agent.windows.networks import Address, DeviceNetworks
from emtc_agent.windows.windows import EndpointKind

_DEVICE, _UNICAST, _UNASSIGNED = (np.uint8(bit) for bit in (Address.DEVICE, Address.UNICAST, Address.UNASSIGNED))
_TUNNEL = np.uint8(Mark.TUNNEL)
_GROUP_MAC = np.uint64(1 << 40)  # lowest bit of the first octet


@dataclass(frozen=True, slots=True)
class Records:
    """M (packet, endpoint) pairs in order of time; of one packet's two, the sender's comes first.

    Attributes:
        side: (M,) ``2 * packet + 1`` if the endpoint sent it, ``2 * packet`` if it received it. In a column of pairs
            (source, destination) that is where the other side's value stands; ``side ^ 1`` is the endpoint's own.
        packets: Packets that have at least one record.
        kind: (M,) ``EndpointKind``.
        id_hi, id_lo: (M,) the endpoint's identity.
    """

    side: Int64
    packets: int
    kind: UInt8
    id_hi: UInt64
    id_lo: UInt64


def attribute(columns: Columns, networks: DeviceNetworks) -> Records:
    """Find the endpoints of each packet of a batch."""
    from_device, to_device, by_mac = _device_sides(columns, networks)
    side = np.flatnonzero(np.stack([from_device, to_device], axis=1)) ^ 1
    packets = int(np.count_nonzero(from_device | to_device))
    kind = np.full(len(side), EndpointKind.MAC, np.uint8)
    id_hi = np.zeros(len(side), np.uint64)
    id_lo = _own(columns.src_mac, columns.dst_mac, side)
    if not by_mac.all():
        by_ip = np.flatnonzero(~by_mac.take(side >> 1))
        tunnel = (columns.marks.take(side[by_ip] >> 1) & Mark.TUNNEL) != 0
        kind[by_ip] = np.where(tunnel, np.uint8(EndpointKind.TEID), np.uint8(EndpointKind.IP))
        id_hi[by_ip] = _own(columns.src_hi, columns.dst_hi, side[by_ip])
        id_lo[by_ip] = _own(columns.src_lo, columns.dst_lo, side[by_ip])
    return Records(side, packets, kind, id_hi, id_lo)


def _own(src: UInt64, dst: UInt64, side: Int64) -> UInt64:
    """(M,) the endpoint's own value of what a packet has for its source and its destination."""
    return np.stack([src, dst], axis=1).reshape(-1).take(side ^ 1)


def _device_sides(columns: Columns, networks: DeviceNetworks) -> tuple[Bool, Bool, Bool]:
    """(N,) whether the sender is a device, whether the receiver is, and whether MACs identify them."""
    both_macs = (columns.src_mac != 0) & (columns.dst_mac != 0) & ((columns.marks & _TUNNEL) == 0)
    to_group = both_macs & ((columns.dst_mac & _GROUP_MAC) != 0)
    not_ipv4 = np.flatnonzero(columns.l3 != np.uint8(L3.IPV4))
    src = networks.classify(columns.src_hi, columns.src_lo, not_ipv4)
    dst = networks.classify(columns.dst_hi, columns.dst_lo, not_ipv4)
    dst_unicast = ((dst & _UNICAST) != 0) & ~to_group
    is_ip = columns.l3 >= np.uint8(L3.IPV4)
    unassigned = both_macs & ((src & _UNASSIGNED) != 0)  # a client of DHCP
    from_device = is_ip & (((src & _DEVICE) != 0) | unassigned)
    to_device = is_ip & ((dst & _DEVICE) != 0) & dst_unicast
    nobody = is_ip & ~from_device & ~to_device
    if not is_ip.all():  # ARP and other link protocols never leave the LAN
        is_arp = columns.l3 == np.uint8(L3.ARP)
        from_device |= ~is_ip & (both_macs | (is_arp & ((src & _UNICAST) != 0)))
        to_device |= is_arp & np.where(both_macs, ~to_group, dst_unicast)
    return from_device | (nobody & ~dst_unicast), to_device | (nobody & dst_unicast), both_macs & ~nobody
