"""The decoded columns of a packet batch: one array per header field, innermost packet of a tunnel."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from emtc_agent.packets import Int32, Int64, UInt8, UInt16, UInt32, UInt64


class L3(IntEnum):
    """Values of ``Columns.l3``."""

    OTHER = 0
    ARP = 1
    IPV4 = 4
    IPV6 = 6


class Mark(IntFlag):
    """Bits of ``Columns.marks``."""

    FRAGMENT = 1  # any IP fragment, the first included
    LATER_FRAGMENT = 2  # fragment offset > 0: no transport header
    MALFORMED = 4  # a header that is cut on the wire or contradicts itself
    TUNNEL = 8  # addresses, ports and lengths are those inside a GTP-U tunnel
    ZERO_WINDOW = 16  # TCP window 0 without RST
    TRANSPORT = 32  # TCP or UDP header was decoded: ports are valid
    CUT = 64  # the snaplen cut a header that the wire had


class Other(IntEnum):
    """Why a packet has no (complete) decode: values of ``Columns.reason``, counted and reported by name."""

    DECODED = 0
    UNKNOWN_LINKTYPE = 1
    SHORT_LINK_HEADER = 2
    NOT_IP = 3  # a known non-IP EtherType / 802.3 LLC frame (STP, EAPOL, LLDP, PPPoE discovery, ...)
    BAD_ARP = 4
    BAD_IPV4 = 5
    BAD_IPV6 = 6
    BAD_TRANSPORT = 7
    OTHER_PROTOCOL = 8  # good IP, but neither TCP, UDP, ICMP, ICMPv6 nor IGMP (SCTP, GRE, ESP, ...)


@dataclass(frozen=True, slots=True)
class Columns:
    """Structure of arrays over N packets; every array has shape (N,).

    Addresses are 128-bit numbers in two halves; IPv4 is mapped (``hi = 0``, ``lo = 0xffff_aabb_ccdd``).
    For ARP the source and destination are the sender and target protocol addresses. Fields that a packet
    does not have are 0.

    Attributes:
        ts_us: Capture time, microseconds since 1970.
        net_len: Network-layer length in bytes: IPv4 total length (the wire length where it is 0 or
            shorter than its header), 40 + payload length for IPv6, 28 for ARP, else what follows the link
            header on the wire.
        l3: ``L3``.
        proto: IP protocol after IPv6 extension headers; 0 for ARP and other.
        marks: ``Mark`` bits.
        reason: ``Other``.
        tcp_flags: TCP flag byte (FIN=1 SYN=2 RST=4 PSH=8 ACK=16 URG=32 ECE=64 CWR=128).
        ttl: IPv4 TTL or IPv6 hop limit.
        op: ICMP / ICMPv6 type, or ARP operation (at most 255).
        src_port, dst_port: TCP or UDP ports where ``Mark.TRANSPORT``.
        src_hi, src_lo, dst_hi, dst_lo: Addresses.
        src_mac, dst_mac: Link addresses (48 bits), 0 where the link has none; SLL has only the source.
        arp_mac: Sender hardware address inside ARP.
        teid: GTP-U tunnel endpoint id, 0 outside tunnels.
        payload_at: Index in the batch's ``data`` of the first payload byte behind the TCP or UDP header.
        payload_len: Payload bytes by the headers' lengths (can exceed what was captured).
        payload_cap: Payload bytes that were captured; never beyond the packet's captured bytes.
    """

    ts_us: Int64
    net_len: Int32
    l3: UInt8
    proto: UInt8
    marks: UInt8
    reason: UInt8
    tcp_flags: UInt8
    ttl: UInt8
    op: UInt8
    src_port: UInt16
    dst_port: UInt16
    src_hi: UInt64
    src_lo: UInt64
    dst_hi: UInt64
    dst_lo: UInt64
    src_mac: UInt64
    dst_mac: UInt64
    arp_mac: UInt64
    teid: UInt32
    payload_at: Int64
    payload_len: Int32
    payload_cap: Int32

    def __len__(self) -> int:
        return len(self.ts_us)
