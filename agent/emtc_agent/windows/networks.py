"""Which addresses are devices: the networks behind the gateway."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import numpy as np

from emtc_agent.packets import Bool, UInt64
from emtc_contract.errors import InputError

PRIVATE = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",  # carrier-grade NAT: where LTE devices live
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
)
_MAPPED = np.uint64(0xFFFF)
_WORD = np.uint64(32)


class DeviceNetworks:
    """A set of IPv4 and IPv6 networks that can be asked about columns of addresses.

    Args:
        networks: CIDR texts; the private ranges by default. IPv6 prefixes longer than 64 bits are refused.

    Raises:
        InputError: A text that is not a network.
    """

    def __init__(self, networks: Sequence[str] = PRIVATE) -> None:
        self.names = tuple(networks)
        self._wide_v4 = np.zeros(65536, bool)  # by the upper 16 bits of the address
        self._narrow_v4: list[tuple[np.uint32, np.uint32]] = []
        self._v6: list[tuple[np.uint64, np.uint64]] = []
        for text in networks:
            self._add(text)

    def _add(self, text: str) -> None:
        try:
            network = ipaddress.ip_network(text)
        except ValueError as error:
            raise InputError(f"device network {text!r}: {error}") from None
        if network.version == 4 and network.prefixlen <= 16:
            self._wide_v4[int(network.network_address) >> 16 : (int(network.broadcast_address) >> 16) + 1] = True
        elif network.version == 4:
            self._narrow_v4.append((np.uint32(int(network.netmask)), np.uint32(int(network.network_address))))
        elif network.prefixlen > 64:
            raise InputError(f"device network {text!r}: IPv6 prefixes of at most 64 bits")
        else:
            mask, base = int(network.netmask) >> 64, int(network.network_address) >> 64
            self._v6.append((np.uint64(mask), np.uint64(base)))

    def contains(self, hi: UInt64, lo: UInt64) -> Bool:
        """(N,) whether each address lies in one of the networks."""
        is_v4 = (hi == 0) & (lo >> _WORD == _MAPPED)
        low_word = lo.astype(np.uint32)
        inside = self._wide_v4.take(low_word >> np.uint32(16))
        for mask, base in self._narrow_v4:
            inside |= (low_word & mask) == base
        inside &= is_v4
        if not is_v4.all():
            for mask6, base6 in self._v6:
                inside |= ((hi & mask6) == base6) & ~is_v4
        return inside


def is_unicast(hi: UInt64, lo: UInt64) -> Bool:
    """(N,) whether an address can be one host: not multicast, broadcast or unspecified."""
    is_v4 = (hi == 0) & (lo >> _WORD == _MAPPED)
    low_word = lo.astype(np.uint32)
    good_v4 = (low_word < np.uint32(0xE000_0000)) & (low_word != 0)
    good_v6 = (hi >> np.uint64(56) != np.uint64(0xFF)) & ((hi | lo) != 0)
    return np.where(is_v4, good_v4, good_v6)
