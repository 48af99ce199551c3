"""Network layer: IPv4 with options and fragments, IPv6 with extension headers, ARP."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from emtc_agent.columns.columns import L3, Mark, Other
from emtc_agent.columns.gather import headers
from emtc_agent.packets import Bool, Bytes, Int64, UInt8, UInt64

_MAPPED = np.uint64(0xFFFF_0000_0000)  # ::ffff:0:0/96
_EXTENSIONS = (0, 43, 60, 135, 139, 140)  # hop-by-hop, routing, destination, mobility, HIP, shim6
_FRAGMENT_HEADER, _AUTHENTICATION = 44, 51
_HAS_NEXT = np.isin(np.arange(256), (*_EXTENSIONS, _FRAGMENT_HEADER, _AUTHENTICATION))
_MAX_EXTENSIONS = 8


@dataclass(slots=True)
class Network:
    """IP headers of K packets.

    Attributes:
        l4_at: Index in ``data`` of the transport header.
        l4_len: Bytes from there by the headers' lengths.
        l4_cap: Captured bytes from there.
        l3: ``L3.IPV4`` or ``L3.IPV6``.
        proto, ttl: Fields.
        net_len: Network-layer length in bytes.
        src_hi, src_lo, dst_hi, dst_lo: Addresses.
        marks: ``Mark`` bits.
        good: Whether the header could be read.
    """

    l4_at: Int64
    l4_len: Int64
    l4_cap: Int64
    l3: UInt8
    proto: UInt8
    ttl: UInt8
    net_len: Int64
    src_hi: UInt64
    src_lo: UInt64
    dst_hi: UInt64
    dst_lo: UInt64
    marks: UInt8
    good: Bool

    def put(self, rows: Int64, other: Network) -> None:
        """Replace these rows by those of another one."""
        for field in fields(Network):
            getattr(self, field.name)[rows] = getattr(other, field.name)


_IPV4 = np.dtype(
    {
        "names": ["version", "total", "fragment", "ttl", "proto", "src", "dst"],
        "formats": ["u1", ">u2", ">u2", "u1", "u1", ">u4", ">u4"],
        "offsets": [0, 2, 6, 8, 9, 12, 16],
        "itemsize": 20,
    }
)


def ipv4(data: Bytes, at: Int64, captured: Int64, wire: Int64) -> Network:
    """Decode IPv4 headers.

    Args:
        data: The batch's bytes.
        at: (K,) index of each header.
        captured: (K,) captured bytes from there.
        wire: (K,) bytes on the wire from there.
    """
    header = headers(data, at, captured, _IPV4)
    version = header["version"]
    header_len = (version & 15).astype(np.int64) * 4
    total = header["total"].astype(np.int64)
    fragment = header["fragment"].astype(np.uint16)
    good = (version >> 4 == 4) & (header_len >= 20) & (captured >= 20)
    broken = (total > wire) | (header_len > wire)
    short = total < header_len
    if short.any():
        broken |= short & (total != 0)
        total = np.where(short, wire, total)
    if not good.all():
        broken = np.where(good, broken, (captured >= 20) | (wire < 20))
        fragment = np.where(good, fragment, np.uint16(0))
    fragmented = fragment & 0x3FFF != 0
    marks = _marks(broken, captured < np.minimum(header_len, wire), fragmented, fragment & 0x1FFF != 0)
    l4_len = np.maximum(total - header_len, 0)
    return Network(
        l4_at=at + header_len,
        l4_len=l4_len,
        l4_cap=np.minimum(np.maximum(captured - header_len, 0), l4_len),
        l3=np.full(len(at), L3.IPV4, np.uint8),
        proto=header["proto"],
        ttl=header["ttl"],
        net_len=np.where(good, total, wire),
        src_hi=np.zeros(len(at), np.uint64),
        src_lo=header["src"].astype(np.uint64) | _MAPPED,
        dst_hi=np.zeros(len(at), np.uint64),
        dst_lo=header["dst"].astype(np.uint64) | _MAPPED,
        marks=marks,
        good=good,
    )


_IPV6 = np.dtype(
    {
        "names": ["version", "payload", "next", "ttl", "src_hi", "src_lo", "dst_hi", "dst_lo"],
        "formats": ["u1", ">u2", "u1", "u1", ">u8", ">u8", ">u8", ">u8"],
        "offsets": [0, 4, 6, 7, 8, 16, 24, 32],
        "itemsize": 40,
    }
)


def ipv6(data: Bytes, at: Int64, captured: Int64, wire: Int64) -> Network:
    """Decode IPv6 headers and step over extension headers; arguments as for ``ipv4``."""
    header = headers(data, at, captured, _IPV6)
    good = (header["version"] >> 4 == 6) & (captured >= 40)
    payload = header["payload"].astype(np.int64)
    payload = np.where(payload == 0, np.maximum(wire - 40, 0), payload)  # jumbogram or segmentation offload
    broken = (~good & ~((captured < 40) & (wire >= 40))) | (good & (payload + 40 > wire))
    network = Network(
        l4_at=at + 40,
        l4_len=payload,
        l4_cap=np.minimum(np.maximum(captured - 40, 0), payload),
        l3=np.full(len(at), L3.IPV6, np.uint8),
        proto=header["next"].copy(),
        ttl=header["ttl"],
        net_len=np.where(good, payload + 40, wire),
        src_hi=header["src_hi"].astype(np.uint64),
        src_lo=header["src_lo"].astype(np.uint64),
        dst_hi=header["dst_hi"].astype(np.uint64),
        dst_lo=header["dst_lo"].astype(np.uint64),
        marks=_marks(broken, captured < np.minimum(40, wire), np.zeros(len(at), bool), np.zeros(len(at), bool)),
        good=good,
    )
    for _ in range(_MAX_EXTENSIONS):
        if not _step_over(data, network):
            break
    return network


_EXTENSION = np.dtype([("next", "u1"), ("length", "u1"), ("fragment", ">u2")])


def _step_over(data: Bytes, network: Network) -> bool:
    """Step over one extension header of each packet that has one; returns whether any had."""
    later = (network.marks & Mark.LATER_FRAGMENT) != 0
    rows = np.flatnonzero(network.good & ~later & _HAS_NEXT[network.proto] & (network.l4_len > 0))
    if not len(rows):
        return False
    header = headers(data, network.l4_at[rows], network.l4_cap[rows], _EXTENSION)
    kind = network.proto[rows]
    units = header["length"].astype(np.int64)
    size = np.where(kind == _AUTHENTICATION, (units + 2) * 4, (units + 1) * 8)
    size = np.where(kind == _FRAGMENT_HEADER, 8, size)
    is_fragment = (kind == _FRAGMENT_HEADER) & (header["fragment"] & 0xFFF9 != 0)
    is_later = (kind == _FRAGMENT_HEADER) & (header["fragment"] & 0xFFF8 != 0)
    cut = network.l4_cap[rows] < np.minimum(size, network.l4_len[rows])
    broken = size > network.l4_len[rows]
    network.marks[rows] |= _marks(broken, cut, is_fragment, is_later)
    network.proto[rows] = np.where(network.l4_cap[rows] >= 2, header["next"], kind)
    network.l4_at[rows] += size
    network.l4_len[rows] = np.maximum(network.l4_len[rows] - size, 0)
    network.l4_cap[rows] = np.maximum(network.l4_cap[rows] - size, 0)
    return True


def _marks(broken: Bool, cut: Bool, fragment: Bool, later: Bool) -> UInt8:
    marks = broken * np.uint8(Mark.MALFORMED)
    if cut.any():
        marks |= (cut & ~broken) * np.uint8(Mark.CUT)
    if fragment.any():
        marks |= fragment * np.uint8(Mark.FRAGMENT)
        marks |= later * np.uint8(Mark.LATER_FRAGMENT)
    return marks


_ARP = np.dtype(
    {
        "names": ["hardware", "protocol", "sizes", "op", "mac", "src", "dst"],
        "formats": [">u2", ">u2", ">u2", ">u2", ">u8", ">u4", ">u4"],
        "offsets": [0, 2, 4, 6, 8, 14, 24],
        "itemsize": 28,
    }
)


def decode_arp(out: dict[str, np.ndarray], rows: Int64, data: Bytes, at: Int64, captured: Int64, wire: Int64) -> None:
    """Decode Ethernet/IPv4 ARP into the columns ``out[...][rows]``; arguments as for ``ipv4``."""
    header = headers(data, at, captured, _ARP)
    known = (header["hardware"] == 1) & (header["protocol"] == 0x0800) & (header["sizes"] == 0x0604)
    cut = (captured < 28) & (wire >= 28)
    good = known & (captured >= 28)
    out["l3"][rows] = L3.ARP
    out["net_len"][rows] = 28
    out["marks"][rows] = _marks(~good & ~cut, cut, np.zeros(len(at), bool), np.zeros(len(at), bool))
    out["reason"][rows] = np.where(good, Other.DECODED, Other.BAD_ARP)
    out["op"][rows] = np.where(good, np.minimum(header["op"], 255), 0)
    out["arp_mac"][rows] = np.where(good, header["mac"].astype(np.uint64) >> np.uint64(16), 0)
    out["src_lo"][rows] = np.where(good, header["src"].astype(np.uint64) | _MAPPED, 0)
    out["dst_lo"][rows] = np.where(good, header["dst"].astype(np.uint64) | _MAPPED, 0)
