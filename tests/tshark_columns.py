"""Lines of tshark as columns of ``emtc_agent.columns``, for the layer that those describe."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from emtc_agent.columns import L3, Mark

COMPARED_MARKS = Mark.FRAGMENT | Mark.LATER_FRAGMENT | Mark.TUNNEL | Mark.ZERO_WINDOW | Mark.TRANSPORT
_MAPPED = 0xFFFF << 32  # ::ffff:0:0/96
_REPEATED = {"ip", "ipv6", "udp", "tcp", "icmp", "icmpv6"}  # layers that a packet can have twice
_EXTENSIONS = {"ipv6.hopopts", "ipv6.routing", "ipv6.fraghdr", "ipv6.dstopts", "ah", "mipv6"}
_EXTENSION_NUMBERS = {0, 43, 44, 51, 60, 135}
_RST = 4

Value = int | None
"""None where tshark does not say."""


def _number(text: str) -> int:
    return int(text, 0)


def _mac(text: str) -> int:
    return int(text.replace(":", ""), 16)


def _flag(text: str) -> int:
    return int(text in ("1", "True"))  # since version 4.2 it prints words


def _micros(text: str) -> int:
    seconds, _, fraction = text.partition(".")
    return int(seconds) * 1_000_000 + int(fraction[:6])


@lru_cache(1 << 16)
def _address(text: str) -> int:
    parsed = ipaddress.ip_address(text)
    return int(parsed) | _MAPPED if parsed.version == 4 else int(parsed)


_READERS: dict[str, Callable[[str], int]] = {
    "frame.time_epoch": _micros,
    **dict.fromkeys(("frame.encap_type", "frame.len", "frame.cap_len"), _number),
    **dict.fromkeys(("eth.src", "eth.dst", "sll.src.eth", "arp.src.hw_mac"), _mac),
    **dict.fromkeys(("arp.src.proto_ipv4", "arp.dst.proto_ipv4"), _address),
    **dict.fromkeys(("ip.src", "ip.dst", "ipv6.src", "ipv6.dst"), _address),
    **dict.fromkeys(("ip.flags.mf", "ipv6.fraghdr.more"), _flag),
    **dict.fromkeys(("ip.proto", "ip.ttl", "ip.len", "ip.frag_offset"), _number),
    **dict.fromkeys(("ipv6.nxt", "ipv6.hlim", "ipv6.plen", "ipv6.fraghdr.offset"), _number),
    **dict.fromkeys(("ipv6.hopopts.nxt", "ipv6.routing.nxt", "ipv6.dstopts.nxt", "ipv6.fraghdr.nxt"), _number),
    **dict.fromkeys(("ah.next_header", "mip6.proto"), _number),
    **dict.fromkeys(("tcp.srcport", "tcp.dstport", "tcp.flags", "tcp.window_size_value", "tcp.len"), _number),
    **dict.fromkeys(("udp.srcport", "udp.dstport", "udp.length"), _number),
    **dict.fromkeys(("icmp.type", "icmpv6.type", "arp.opcode", "gtp.teid"), _number),
}
FIELDS = (*_READERS, "frame.protocols")
"""The fields to ask tshark for."""
_AT = {name: index for index, name in enumerate(FIELDS)}
_NEXT_HEADERS = (*(name for name in FIELDS if name.endswith("nxt")), "ah.next_header", "mip6.proto")

_LINK = ("encap_type", "ts_us", "wire_len", "cap_len", "src_mac", "dst_mac")
_NETWORK = ("l3", "proto", "src", "dst", "ttl", "net_len", "marks", "arp_mac", "teid")
_TRANSPORT = ("src_port", "dst_port", "tcp_flags", "payload_len", "op")
NAMES = (*_LINK, *_NETWORK, *_TRANSPORT)
"""What is compared: columns, lengths and encapsulation of the frame; addresses in one piece."""


@dataclass(frozen=True)
class _Layers:
    """Which layers of a packet are described.

    Attributes:
        l3, l4: Names of the network layer, and of the layer behind it and its extension headers.
        before: Of each name that can be repeated, how many layers come before ``l3``.
        tunnel: Whether they are inside GTP-U.
    """

    l3: str
    l4: str
    before: dict[str, int]
    tunnel: bool


@lru_cache
def _layers(protocols: str) -> _Layers:
    """The outermost network layer, or that right behind a GTP header."""
    names = [*protocols.split(":"), *[""] * 4]
    at = next((index for index, name in enumerate(names) if name in ("ip", "ipv6", "arp")), len(names) - 4)
    behind = _behind_extensions(names, at + 1)
    tunnel = names[behind : behind + 2] == ["udp", "gtp"] and names[behind + 2] in ("ip", "ipv6")
    if tunnel:
        at = behind + 2
        behind = _behind_extensions(names, at + 1)
    return _Layers(names[at], names[behind], {name: names[:at].count(name) for name in _REPEATED}, tunnel)


def _behind_extensions(names: list[str], at: int) -> int:
    while names[at] in _EXTENSIONS:
        at += 1
    return at


class _Packet:
    """One line of tshark."""

    def __init__(self, line: str) -> None:
        self._texts = line.split("\t")
        self.layers = _layers(self._texts[-1])

    def said(self, name: str) -> Value:
        """The field's value in the layer that is described."""
        text = self._texts[_AT[name]]
        if "," in text:
            values = text.split(",")
            index = self.layers.before.get(name.partition(".")[0], 0)
            text = values[index] if index < len(values) else ""
        return _READERS[name](text) if text else None

    def get(self, name: str) -> int:
        return self.said(name) or 0

    def columns(self) -> dict[str, Value]:
        """Values by ``NAMES``; 0 for fields that a packet does not have."""
        found: dict[str, Value] = dict.fromkeys(NAMES, 0)
        found |= {
            "encap_type": self.get("frame.encap_type"),
            "ts_us": self.said("frame.time_epoch") or None,  # mergecap writes 0 where a packet has no time
            "wire_len": self.get("frame.len"),
            "cap_len": self.get("frame.cap_len"),
            "src_mac": self.get("eth.src") or self.get("sll.src.eth"),
            "dst_mac": self.get("eth.dst"),
            "net_len": None,
        }
        l3 = self.layers.l3
        if l3 == "arp":
            found |= self._arp()
        elif l3 and self.said(f"{l3}.src") is not None:  # else it found the header unreadable
            found |= self._ipv4() if l3 == "ip" else self._ipv6()
            found |= self._transport()
            found["marks"] = self._marks()
        if self.layers.tunnel:
            found["teid"] = self.get("gtp.teid")
        return found

    def _arp(self) -> dict[str, Value]:
        return {
            "l3": L3.ARP,
            "src": self.get("arp.src.proto_ipv4"),
            "dst": self.get("arp.dst.proto_ipv4"),
            "op": self.get("arp.opcode"),
            "arp_mac": self.get("arp.src.hw_mac"),
        }

    def _ipv4(self) -> dict[str, Value]:
        return {
            "l3": L3.IPV4,
            "proto": self.get("ip.proto"),
            "src": self.get("ip.src"),
            "dst": self.get("ip.dst"),
            "ttl": self.get("ip.ttl"),
            "net_len": self.get("ip.len"),
        }

    def _ipv6(self) -> dict[str, Value]:
        numbers = [self.get(name) for name in _NEXT_HEADERS if self._texts[_AT[name]]]
        return {
            "l3": L3.IPV6,
            "proto": next((number for number in numbers if number not in _EXTENSION_NUMBERS), numbers[-1]),
            "src": self.get("ipv6.src"),
            "dst": self.get("ipv6.dst"),
            "ttl": self.get("ipv6.hlim"),
            "net_len": 40 + self.get("ipv6.plen"),
        }

    def _transport(self) -> dict[str, Value]:
        l4 = self.layers.l4
        if l4 in ("icmp", "icmpv6"):
            return {"op": self.get(f"{l4}.type")}
        if l4 not in ("tcp", "udp"):
            return {}
        ports = {"src_port": self.get(f"{l4}.srcport"), "dst_port": self.get(f"{l4}.dstport")}
        if l4 == "udp":
            return ports | {"payload_len": max(self.get("udp.length") - 8, 0)}
        return ports | {"tcp_flags": self.get("tcp.flags") & 255, "payload_len": self.said("tcp.len")}

    def _marks(self) -> int:
        later = self.get("ip.frag_offset") or self.get("ipv6.fraghdr.offset")
        fragment = later or self.get("ip.flags.mf") or self.get("ipv6.fraghdr.more")
        closed = self.said("tcp.window_size_value") == 0 and not self.get("tcp.flags") & _RST
        l4 = self.layers.l4
        return (
            bool(fragment) * Mark.FRAGMENT
            | bool(later) * Mark.LATER_FRAGMENT
            | (l4 in ("tcp", "udp")) * Mark.TRANSPORT
            | (l4 == "tcp" and closed) * Mark.ZERO_WINDOW
            | self.layers.tunnel * Mark.TUNNEL
        )


def tshark_columns(lines: Sequence[str]) -> dict[str, np.ndarray]:
    """(N,) objects by ``NAMES`` from lines of ``FIELDS``."""
    packets = [_Packet(line).columns() for line in lines]
    return {name: np.array([packet[name] for packet in packets], object) for name in NAMES}
