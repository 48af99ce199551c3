"""Transport layer: TCP, UDP, and the type of ICMP messages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emtc_agent.columns.columns import Mark
from emtc_agent.columns.gather import headers
from emtc_agent.columns.network import Network
from emtc_agent.packets import Bytes, Int64, UInt8, UInt16

TCP, UDP, ICMP, ICMPV6, IGMP = 6, 17, 1, 58, 2
_TCP_FLAGS_BYTES = 14
_TCP_WINDOW_BYTES = 16
_RST = 4


@dataclass(slots=True)
class Transport:
    """Transport headers of K packets; see ``Columns`` for the fields."""

    src_port: UInt16
    dst_port: UInt16
    tcp_flags: UInt8
    op: UInt8
    marks: UInt8
    payload_at: Int64
    payload_len: Int64
    payload_cap: Int64


_LAYOUT = np.dtype(
    {
        "names": ["src", "dst", "udp_length", "offset", "flags", "window", "type"],
        "formats": [">u2", ">u2", ">u2", "u1", "u1", ">u2", "u1"],
        "offsets": [0, 2, 4, 12, 13, 14, 0],
        "itemsize": 16,
    }
)


def decode_transport(data: Bytes, network: Network) -> Transport:
    """Decode the transport headers behind IP headers.

    TCP needs its first 14 bytes captured (up to the flags), UDP its 8; less is ``Mark.CUT``. A header that
    the wire did not carry whole, a data offset below 5 or a UDP length below 8 is ``Mark.MALFORMED``.
    """
    header = headers(data, network.l4_at, network.l4_cap, _LAYOUT)
    readable = network.good & ((network.marks & Mark.LATER_FRAGMENT) == 0)
    is_tcp, is_udp = readable & (network.proto == TCP), readable & (network.proto == UDP)
    offset = (header["offset"] >> 4).astype(np.int64) * 4
    udp_length = header["udp_length"].astype(np.int64)
    least = np.where(is_tcp, 20, 8)
    needed = np.where(is_tcp, _TCP_FLAGS_BYTES, 8)
    short = (is_tcp | is_udp) & (network.l4_len < least)
    cut = (is_tcp | is_udp) & ~short & (network.l4_cap < needed)
    whole = (is_tcp | is_udp) & ~short & ~cut
    bad_offset = is_tcp & whole & (offset < 20)
    transport = whole & ~bad_offset
    beyond = transport & is_tcp & (offset > network.l4_len)
    bad_length = transport & is_udp & _wrong_udp_length(udp_length, network)
    is_tcp &= transport
    marks = transport * np.uint8(Mark.TRANSPORT)
    marks |= (short | bad_offset | beyond | bad_length) * np.uint8(Mark.MALFORMED)
    marks |= cut * np.uint8(Mark.CUT)
    flags = np.where(is_tcp, header["flags"], np.uint8(0))
    zero_window = is_tcp & (header["window"] == 0) & (flags & _RST == 0) & (network.l4_cap >= _TCP_WINDOW_BYTES)
    marks |= zero_window * np.uint8(Mark.ZERO_WINDOW)
    header_len = np.where(is_tcp, offset, 8)
    length = np.where(is_tcp | (udp_length < 8), network.l4_len, np.minimum(udp_length, network.l4_len))
    payload_len = np.where(transport, np.maximum(length - header_len, 0), 0)
    is_icmp = readable & (network.proto != TCP) & np.isin(network.proto, (ICMP, ICMPV6)) & (network.l4_cap > 0)
    no_port = np.uint16(0)
    return Transport(
        src_port=np.where(transport, header["src"], no_port).astype(np.uint16),
        dst_port=np.where(transport, header["dst"], no_port).astype(np.uint16),
        tcp_flags=flags,
        op=np.where(is_icmp, header["type"], np.uint8(0)),
        marks=marks,
        payload_at=network.l4_at + header_len,
        payload_len=payload_len,
        payload_cap=np.clip(network.l4_cap - header_len, 0, payload_len),
    )


def _wrong_udp_length(udp_length: Int64, network: Network) -> np.ndarray:
    """A length below the header, or beyond the datagram unless it is fragmented; 0 means jumbogram."""
    whole = (network.marks & Mark.FRAGMENT) == 0
    return ((udp_length != 0) & (udp_length < 8)) | (whole & (udp_length > network.l4_len))
