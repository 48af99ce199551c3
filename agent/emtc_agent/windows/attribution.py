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
from emtc_agent.columns.gather import EVERY, Rows
from emtc_agent.packets import Bool, Int64, UInt8, UInt64
from emtc_agent.windows.arrays import is_first
from emtc_agent.windows.networks import DeviceNetworks, is_unicast
from emtc_agent.windows.windows import EndpointKind

_GROUP_MAC = np.uint64(1 << 40)  # lowest bit of the first octet
_IPV4 = np.uint64(0xFFFF_FFFF)


@dataclass(frozen=True, slots=True)
class Records:
    """M (packet, endpoint) pairs in order of time; of one packet's two, the sender's comes first.

    Attributes:
        packet: (M,) index of the packet in the batch; ``EVERY`` where each packet has exactly one record.
        up: (M,) whether the endpoint sent it.
        kind: (M,) ``EndpointKind``.
        id_hi, id_lo: (M,) the endpoint's identity.
    """

    packet: Rows
    up: Bool
    kind: UInt8
    id_hi: UInt64
    id_lo: UInt64

    def __len__(self) -> int:
        return len(self.up)

    @property
    def packets(self) -> int:
        """Packets that have at least one record."""
        return int(np.count_nonzero(is_first(self.index())))

    def index(self) -> Int64:
        """(M,) index of the packet, also where ``packet`` is ``EVERY``."""
        return np.arange(len(self)) if isinstance(self.packet, slice) else self.packet


def attribute(columns: Columns, networks: DeviceNetworks) -> Records:
    """Find the endpoints of each packet of a batch."""
    from_device, to_device, by_mac = _device_sides(columns, networks)
    packet, up = _pairs(from_device, to_device)
    kind = np.full(len(up), EndpointKind.MAC, np.uint8)
    id_hi = np.zeros(len(up), np.uint64)
    id_lo = np.where(up, columns.src_mac[packet], columns.dst_mac[packet])
    by_ip = ~by_mac[packet]
    if by_ip.any():
        tunnel = (columns.marks[packet] & Mark.TUNNEL) != 0
        kind[by_ip] = np.where(tunnel, np.uint8(EndpointKind.TEID), np.uint8(EndpointKind.IP))[by_ip]
        id_hi[by_ip] = np.where(up, columns.src_hi[packet], columns.dst_hi[packet])[by_ip]
        id_lo[by_ip] = np.where(up, columns.src_lo[packet], columns.dst_lo[packet])[by_ip]
    return Records(packet, up, kind, id_hi, id_lo)


def _pairs(from_device: Bool, to_device: Bool) -> tuple[Rows, Bool]:
    """Packets and directions of the records."""
    if (from_device != to_device).all():
        return EVERY, from_device
    records = from_device.astype(np.int64) + to_device
    packet = np.repeat(np.arange(len(records)), records)
    second = np.zeros(len(packet), bool)
    second[1:] = packet[1:] == packet[:-1]
    return packet, from_device[packet] & ~second


def _device_sides(columns: Columns, networks: DeviceNetworks) -> tuple[Bool, Bool, Bool]:
    """(N,) whether the sender is a device, whether the receiver is, and whether MACs identify them."""
    both_macs = (columns.src_mac != 0) & (columns.dst_mac != 0) & ((columns.marks & Mark.TUNNEL) == 0)
    to_group = both_macs & ((columns.dst_mac & _GROUP_MAC) != 0)
    dst_unicast = is_unicast(columns.dst_hi, columns.dst_lo) & ~to_group
    is_ip = columns.l3 >= L3.IPV4
    unassigned = both_macs & (columns.src_hi == 0) & ((columns.src_lo & _IPV4) == 0)  # DHCP's 0.0.0.0, ::
    from_device = is_ip & (networks.contains(columns.src_hi, columns.src_lo) | unassigned)
    to_device = is_ip & networks.contains(columns.dst_hi, columns.dst_lo) & dst_unicast
    nobody = is_ip & ~from_device & ~to_device
    if not is_ip.all():  # ARP and other link protocols never leave the LAN
        is_arp = columns.l3 == L3.ARP
        from_device |= ~is_ip & (both_macs | (is_arp & is_unicast(columns.src_hi, columns.src_lo)))
        to_device |= is_arp & np.where(both_macs, ~to_group, dst_unicast)
    return from_device | (nobody & ~dst_unicast), to_device | (nobody & dst_unicast), both_macs & ~nobody
