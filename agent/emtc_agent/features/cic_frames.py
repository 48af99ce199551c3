"""Frames as the CICIoT2023 extractors see them: the outer IPv4 or ARP header of an Ethernet frame, nothing else.

Their reading differs from ours on purpose (no VLAN, no IPv6, no tunnels, sizes without padding but with quirks), so
it has a decoder of its own. Captures of other link types are read as if an Ethernet header stood before the packet.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from emtc_agent.columns.encapsulation import ARP, IPV4
from emtc_agent.columns.gather import headers
from emtc_agent.columns.link import decode_link
from emtc_agent.packets import Bool, Bytes, Float64, Int64, PacketBatch, UInt8, UInt16, UInt32, UInt64

ETHERNET, ETHERNET_BYTES = 1, 14
TCP, UDP, ICMP, IGMP = 6, 17, 1, 2
_QUOTING = np.isin(np.arange(256), (3, 4, 5, 11))  # ICMP errors, which quote a datagram
_MAX_QUOTES = 8

BITS = (
    *("fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"),
    *("HTTP", "HTTPS", "Telnet", "SMTP", "SSH", "IRC", "DNS", "UDP"),
    *("TCP", "ARP", "ICMP", "IGMP", "IPv", "DHCP reply", "DHCP", ""),
)
BIT = {name: number for number, name in enumerate(BITS)}


@dataclass(frozen=True, slots=True)
class Frames:
    """N frames that make a row each; every array has shape (N,).

    Attributes:
        packet: Index in the batch.
        ts_us: Capture time.
        ts_s: The same as the originals' float64 seconds.
        size: Frame length without Ethernet padding (of ARP: with).
        captured: Captured frame length.
        proto, ttl: IPv4 fields, 0 for ARP.
        flags: TCP flags, 0 where not decoded as TCP.
        has_flow: Decoded as TCP or UDP.
        header_len: Transport header length in bytes, 0 where not decoded.
        src_port, dst_port: 0 where not decoded.
        src, dst: IPv4 addresses, 0 for ARP.
        bits: Yes/no facts, bit ``BIT[name]``.
    """

    packet: Int64
    ts_us: Int64
    ts_s: Float64
    size: Int64
    captured: Int64
    proto: UInt8
    ttl: UInt8
    flags: UInt8
    has_flow: Bool
    header_len: Int64
    src_port: UInt16
    dst_port: UInt16
    src: UInt32
    dst: UInt32
    bits: UInt64

    def __len__(self) -> int:
        return len(self.packet)

    def slice(self, begin: int, end: int) -> Frames:
        """Frames ``begin`` to ``end`` (exclusive)."""
        return Frames(*(getattr(self, field.name)[begin:end] for field in fields(self)))


_ETHER_TYPE = np.dtype({"names": ["type"], "formats": [">u2"], "offsets": [12], "itemsize": 14})
_IPV4 = np.dtype(
    {
        "names": ["ihl", "total", "fragment", "ttl", "proto", "src", "dst"],
        "formats": ["u1", ">u2", ">u2", "u1", "u1", ">u4", ">u4"],
        "offsets": [0, 2, 6, 8, 9, 12, 16],
        "itemsize": 20,
    }
)
_TRANSPORT = np.dtype(
    {
        "names": ["type", "src", "dst", "offset", "flags"],
        "formats": ["u1", ">u2", ">u2", "u1", "u1"],
        "offsets": [0, 0, 2, 12, 13],
        "itemsize": 14,
    }
)


def read_frames(batch: PacketBatch) -> tuple[Frames, int]:
    """The frames of a batch that make a row, and the number of IPv4 frames with a broken header (skipped)."""
    at, ether = _network_headers(batch)
    captured = batch.start + batch.cap_len - at
    is_ip = ether == IPV4
    header = headers(batch.data, at, captured * is_ip, _IPV4)
    broken = is_ip & ((captured < 20) | (header["ihl"] & 15 < 5))
    row = (is_ip & ~broken) | (ether == ARP)
    if row.all():
        packet = np.arange(len(batch))
    else:
        packet = np.flatnonzero(row)
        at, captured, is_ip, header = at[packet], captured[packet], is_ip[packet], header[packet]
    return _decode(batch, packet, at, captured, is_ip, header), int(np.count_nonzero(broken))


def _network_headers(batch: PacketBatch) -> tuple[Int64, UInt16]:
    """Where the header behind the link layer is, and its EtherType: the outer one, also before a VLAN tag."""
    if (batch.linktype == ETHERNET).all():
        ether = headers(batch.data, batch.start, batch.cap_len, _ETHER_TYPE)["type"].astype(np.uint16)
        ether[batch.cap_len < ETHERNET_BYTES] = 0
        return batch.start + ETHERNET_BYTES, ether
    link = decode_link(batch, outer=True)
    return batch.start + link.at, link.ether


def _decode(batch: PacketBatch, packet: Int64, at: Int64, captured: Int64, is_ip: Bool, header: np.ndarray) -> Frames:
    header_len, first, payload = _lengths(header, captured)
    transport = headers(batch.data, at + header_len, payload, _TRANSPORT)
    unfragmented = is_ip & first
    proto = header["proto"]
    offset = (transport["offset"] >> 4).astype(np.int64) * 4
    is_tcp = unfragmented & (proto == TCP) & (payload >= 20) & (offset >= 20)
    is_udp = unfragmented & (proto == UDP) & (payload >= 8)
    has_flow = is_tcp | is_udp
    src_port = transport["src"].astype(np.uint16) * has_flow
    dst_port = transport["dst"].astype(np.uint16) * has_flow
    flags = transport["flags"] * is_tcp
    ts_us = batch.ts_us[packet]
    size = np.where(is_ip, _datagram_size(batch.data, at, captured, header, transport, unfragmented), captured)
    return Frames(
        packet=packet,
        ts_us=ts_us,
        ts_s=seconds(ts_us),
        size=size + ETHERNET_BYTES,
        captured=captured + ETHERNET_BYTES,
        proto=proto * is_ip,
        ttl=header["ttl"] * is_ip,
        flags=flags,
        has_flow=has_flow,
        header_len=np.where(is_tcp, np.minimum(payload, offset), is_udp * 8),
        src_port=src_port,
        dst_port=dst_port,
        src=header["src"].astype(np.uint32) * is_ip,
        dst=header["dst"].astype(np.uint32) * is_ip,
        bits=_bits(flags, is_tcp, is_udp, is_ip, proto, src_port, dst_port),
    )


def seconds(ts_us: Int64) -> Float64:
    """Microseconds as the originals' seconds: whole seconds plus a fraction, rounded once each."""
    whole = ts_us // 1_000_000
    return whole + (ts_us - whole * 1_000_000) / 1e6


def _lengths(header: np.ndarray, captured: Int64) -> tuple[Int64, Bool, Int64]:
    """Header length, whether it is a first fragment, and payload bytes that are captured and counted."""
    header_len = (header["ihl"] & 15).astype(np.int64) * 4
    total = header["total"].astype(np.int64)
    end = np.where(total == 0, captured, np.minimum(total, captured))
    return header_len, header["fragment"] & 0x1FFF == 0, np.maximum(end - header_len, 0)


def _datagram_size(
    data: Bytes, at: Int64, captured: Int64, header: np.ndarray, transport: np.ndarray, unfragmented: Bool
) -> Int64:
    """Length of the IPv4 datagram as dpkt builds it again from what it parsed."""
    header_len, _, payload = _lengths(header, captured)
    size = np.minimum(captured, header_len) + payload
    proto = header["proto"]
    quoting = unfragmented & (proto == ICMP) & (payload >= 8) & _QUOTING[transport["type"]]
    nested = unfragmented & (proto == 0) & (payload >= 20) & (transport["type"] & 15 >= 5)
    rows = np.flatnonzero(quoting | nested)
    if len(rows):
        skip = np.where(quoting[rows], 8, 0)
        inner_at, room = (at + header_len)[rows] + skip, payload[rows] - skip
        size[rows] += _nested_size(data, inner_at, room) - room
    return size


def _nested_size(data: Bytes, at: Int64, captured: Int64, depth: int = 0) -> Int64:
    """Like ``_datagram_size`` for what ICMP errors quote, and protocol 0 carries; too deep nests stay as captured."""
    header = headers(data, at, captured, _IPV4)
    readable = (captured >= 20) & (header["ihl"] & 15 >= 5)
    header_len, first, payload = _lengths(header, captured)
    transport = headers(data, at + header_len, payload, _TRANSPORT)
    size = np.where(readable, np.minimum(captured, header_len) + payload, captured)
    inside = readable & first
    quoting = inside & (header["proto"] == ICMP) & (payload >= 8) & _QUOTING[transport["type"]]
    nested = inside & (header["proto"] == 0) & (payload >= 20) & (transport["type"] & 15 >= 5)
    rows = np.flatnonzero(quoting | nested)
    if len(rows) and depth < _MAX_QUOTES:
        skip = np.where(quoting[rows], 8, 0)
        room = payload[rows] - skip
        size[rows] += _nested_size(data, (at + header_len)[rows] + skip, room, depth + 1) - room
    return size


def _tcp_port_bits() -> UInt64:
    table = np.zeros(65536, np.uint64)
    for name, port in (("HTTP", 80), ("HTTPS", 443), ("Telnet", 23), ("SMTP", 25), ("SSH", 22), ("IRC", 21)):
        table[port] = 1 << BIT[name]
    return table


_TCP_PORT_BITS = _tcp_port_bits()


def _bits(
    flags: UInt8, is_tcp: Bool, is_udp: Bool, is_ip: Bool, proto: UInt8, src_port: UInt16, dst_port: UInt16
) -> UInt64:
    def mark(name: str, where: Bool) -> UInt64:
        return where * np.uint64(1 << BIT[name])

    bits = flags | (_TCP_PORT_BITS[src_port] | _TCP_PORT_BITS[dst_port]) * is_tcp
    bits |= mark("TCP", is_tcp) | mark("UDP", is_udp) | mark("IPv", is_ip) | mark("ARP", ~is_ip)
    udp = np.flatnonzero(is_udp)
    if len(udp):
        src, dst = src_port[udp], dst_port[udp]
        bits[udp] |= mark("DNS", (src == 53) | (dst == 53)) | mark("DHCP reply", (src == 67) | (dst == 68))
        bits[udp] |= mark("DHCP", ((src == 67) & (dst == 68)) | ((src == 68) & (dst == 67)))
    bits |= mark("ICMP", is_ip & (proto == ICMP)) | mark("IGMP", is_ip & (proto == IGMP))
    return bits
