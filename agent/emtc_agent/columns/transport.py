"""Transport layer: TCP, UDP, and the type of ICMP messages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emtc_agent.columns.columns import Mark
from emtc_agent.columns.gather import headers
from emtc_agent.columns.network import Network
from emtc_agent.packets import Bytes, Int64, UInt8, UInt16

TCP, UDP, ICMP, ICMPV6, IGMP = 6, 17, 1, 58, 2
_IS_ICMP = np.isin(np.arange(256), (ICMP, ICMPV6))
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
    wanted = is_tcp | is_udp
    length, captured = network.l4_len, network.l4_cap
    short = wanted & (length < is_tcp * 12 + 8)
    cut = wanted & (captured < is_tcp * (_TCP_FLAGS_BYTES - 8) + 8) & ~short
    offset = (header["offset"] >> 2 & 0x3C).astype(np.int64)
    transport = wanted & ~short & ~cut & ~(is_tcp & (offset < 20))
    is_tcp &= transport
    udp_length = header["udp_length"].astype(np.int64)
    malformed = (wanted & ~transport & ~cut) | (is_tcp & (offset > length))
    malformed |= transport & is_udp & _wrong_udp_length(udp_length, network)
    marks = transport * np.uint8(Mark.TRANSPORT)
    if malformed.any() or cut.any():
        marks |= malformed * np.uint8(Mark.MALFORMED)
        marks |= cut * np.uint8(Mark.CUT)
    flags = header["flags"] * is_tcp
    zero_window = np.flatnonzero(is_tcp & (header["window"] == 0))
    if len(zero_window):
        telling = (flags[zero_window] & _RST == 0) & (captured[zero_window] >= _TCP_WINDOW_BYTES)
        marks[zero_window[telling]] |= np.uint8(Mark.ZERO_WINDOW)
    header_len = np.where(is_tcp, offset, 8)
    length = np.where(is_tcp | (udp_length < 8), length, np.minimum(udp_length, length))
    payload_len = np.maximum(length - header_len, 0) * transport
    is_icmp = readable & _IS_ICMP[network.proto] & (captured > 0)
    return Transport(
        src_port=header["src"].astype(np.uint16) * transport,
        dst_port=header["dst"].astype(np.uint16) * transport,
        tcp_flags=flags,
        op=header["type"] * is_icmp,
        marks=marks,
        payload_at=network.l4_at + header_len,
        payload_len=payload_len,
        payload_cap=np.minimum(np.maximum(captured - header_len, 0), payload_len),
    )


def _wrong_udp_length(udp_length: Int64, network: Network) -> np.ndarray:
    """A length below the header, or beyond the datagram unless it is fragmented; 0 means jumbogram."""
    whole = (network.marks & Mark.FRAGMENT) == 0
    return ((udp_length != 0) & (udp_length < 8)) | (whole & (udp_length > network.l4_len))
