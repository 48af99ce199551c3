"""Frames from header fields, for tests: plain functions that nest, ``ether(ipv4(tcp(b"...")))``."""

from __future__ import annotations

import ipaddress
from struct import pack

IPV4, IPV6, ARP, VLAN, QINQ, MPLS = 0x0800, 0x86DD, 0x0806, 0x8100, 0x88A8, 0x8847
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
GTPU = 2152


def address(text: str) -> bytes:
    """4 or 16 octets."""
    return ipaddress.ip_address(text).packed


def mac(number: int) -> bytes:
    """6 octets."""
    return number.to_bytes(6, "big")


def ether(
    payload: bytes, kind: int = IPV4, src: int = 2, dst: int = 4, tags: tuple[tuple[int, int], ...] = ()
) -> bytes:
    """Ethernet II; ``tags`` are (tag protocol, VLAN id) from the outside in."""
    tagged = b"".join(pack(">HH", protocol, vlan) for protocol, vlan in tags)
    return mac(dst) + mac(src) + tagged + pack(">H", kind) + payload


def ipv4(
    payload: bytes = b"",
    src: str = "10.0.0.1",
    dst: str = "10.0.0.2",
    proto: int = TCP,
    *,
    ttl: int = 64,
    fragment: int = 0,
    total: int | None = None,
    options: bytes = b"",
) -> bytes:
    """IPv4; ``fragment`` is the flags and offset word, ``total`` overrides the total length."""
    words = 5 + len(options) // 4
    total = 4 * words + len(payload) if total is None else total
    head = pack(">BBHHHBBH", 0x40 | words, 0, total & 0xFFFF, 7, fragment, ttl, proto, 0)
    return head + address(src) + address(dst) + options + payload


def ipv6(
    payload: bytes = b"",
    src: str = "fd00::1",
    dst: str = "fd00::2",
    proto: int = TCP,
    *,
    ttl: int = 64,
    length: int | None = None,
) -> bytes:
    """IPv6 without extension headers (put them into ``payload``)."""
    length = len(payload) if length is None else length
    return pack(">IHBB", 0x6000_0000, length, proto, ttl) + address(src) + address(dst) + payload


def tcp(
    payload: bytes = b"",
    sport: int = 40000,
    dport: int = 80,
    flags: int = 0x10,
    *,
    window: int = 1000,
    options: bytes = b"",
) -> bytes:
    """TCP."""
    words = 5 + len(options) // 4
    return pack(">HHIIBBHHH", sport, dport, 1, 1, words << 4, flags, window, 0, 0) + options + payload


def udp(payload: bytes = b"", sport: int = 40000, dport: int = 53, *, length: int | None = None) -> bytes:
    """UDP."""
    return pack(">HHHH", sport, dport, 8 + len(payload) if length is None else length, 0) + payload


def icmp(kind: int = 8, payload: bytes = b"") -> bytes:
    """ICMP."""
    return pack(">BBHI", kind, 0, 0, 0) + payload


def arp(op: int, sender_mac: int, sender: str, target_mac: int, target: str) -> bytes:
    """ARP for IPv4 over Ethernet."""
    head = pack(">HHBBH", 1, IPV4, 6, 4, op)
    return head + mac(sender_mac) + address(sender) + mac(target_mac) + address(target)


def gtpu(inner: bytes, teid: int = 0x1234, *, extensions: tuple[bytes, ...] = (), kind: int = 255) -> bytes:
    """GTP-U version 1; each extension is its content (a multiple of 4 less 2 octets), type 0x85."""
    flags, optional = 0x30, b""
    if extensions:
        flags |= 0x04
        optional = pack(">HBB", 0, 0, 0x85)
        for number, content in enumerate(extensions):
            following = 0x85 if number + 1 < len(extensions) else 0
            optional += bytes([(len(content) + 2) // 4]) + content + bytes([following])
    return pack(">BBHI", flags, kind, len(optional) + len(inner), teid) + optional + inner


def mpls(payload: bytes, labels: int = 1) -> bytes:
    """A stack of MPLS labels."""
    return b"".join(pack(">I", 16 << 12 | (left == 1) << 8 | 64) for left in range(labels, 0, -1)) + payload


def sll(payload: bytes, kind: int = IPV4, src: int = 2) -> bytes:
    """Linux cooked capture, version 1."""
    return pack(">HHH8sH", 0, 1, 6, mac(src), kind) + payload


def sll2(payload: bytes, kind: int = IPV4, src: int = 2) -> bytes:
    """Linux cooked capture, version 2."""
    return pack(">HHIHBB8s", kind, 0, 1, 1, 0, 6, mac(src)) + payload


def dns(name: str, ident: int = 7, *, response: bool = False, code: int = 0, kind: int = 1) -> bytes:
    """A DNS message with one question."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    flags = (0x8180 | code) if response else 0x0100
    return pack(">6H", ident, flags, 1, 0, 0, 0) + labels + b"\0" + pack(">HH", kind, 1)
