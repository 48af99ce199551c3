"""Which addresses are devices: the networks behind the gateway."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from enum import IntFlag

import numpy as np

from emtc_agent.packets import Int64, UInt8, UInt64
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


class Address(IntFlag):
    """What an address is."""

    DEVICE = 1  # in a device network
    UNICAST = 2  # can be one host: not multicast, broadcast or unspecified
    UNASSIGNED = 4  # 0.0.0.0 or ::


class DeviceNetworks:
    """A set of IPv4 and IPv6 networks that can be asked about columns of addresses.

    Args:
        networks: CIDR texts; the private ranges by default. IPv6 prefixes longer than 64 bits are refused.

    Raises:
        InputError: A text that is not a network.
    """

    def __init__(self, networks: Sequence[str] = PRIVATE) -> None:
        self.names = tuple(networks)
        self._v4 = np.full(65536, Address.UNICAST, np.uint8)  # by the upper 16 bits of the address
        self._v4[0xE000:] = 0
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
            first, last = (int(address) >> 16 for address in (network.network_address, network.broadcast_address))
            self._v4[first : last + 1] |= np.uint8(Address.DEVICE)
        elif network.version == 4:
            self._narrow_v4.append((np.uint32(int(network.netmask)), np.uint32(int(network.network_address))))
        elif network.prefixlen > 64:
            raise InputError(f"device network {text!r}: IPv6 prefixes of at most 64 bits")
        else:
            mask, base = int(network.netmask) >> 64, int(network.network_address) >> 64
            self._v6.append((np.uint64(mask), np.uint64(base)))

    def classify(self, hi: UInt64, lo: UInt64, others: Int64) -> UInt8:
        """(N,) what each address is: ``Address`` bits.

        Args:
            hi, lo: (N,) halves of the addresses.
            others: Which of them may be something else than IPv4.
        """
        low_word = lo.astype(np.uint32)
        kind = self._v4.take(low_word >> np.uint32(16))
        for mask, base in self._narrow_v4:
            kind |= ((low_word & mask) == base) * np.uint8(Address.DEVICE)
        zero = np.flatnonzero(low_word == 0)
        kind[zero] = kind[zero] & ~np.uint8(Address.UNICAST) | np.uint8(Address.UNASSIGNED)
        if len(others):
            hi, lo = hi[others], lo[others]
            is_v4 = (hi == 0) & (lo >> _WORD == _MAPPED)
            kind[others] = np.where(is_v4, kind[others], self._classify_v6(hi, lo))
        return kind

    def _classify_v6(self, hi: UInt64, lo: UInt64) -> UInt8:
        kind = ((hi >> np.uint64(56) != np.uint64(0xFF)) & ((hi | lo) != 0)) * np.uint8(Address.UNICAST)
        kind |= ((hi == 0) & (lo.astype(np.uint32) == 0)) * np.uint8(Address.UNASSIGNED)
        for mask, base in self._v6:
            kind |= ((hi & mask) == base) * np.uint8(Address.DEVICE)
        return kind
