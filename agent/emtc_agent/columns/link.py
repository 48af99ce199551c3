"""Link layers: where the network header starts, what it is, and the link addresses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from emtc_agent.columns.columns import Other
from emtc_agent.columns.encapsulation import MPLS, ip_ether, ppp_ether, step_inside
from emtc_agent.columns.gather import headers
from emtc_agent.packets import Int64, PacketBatch, UInt8, UInt16, UInt64

_MAC_SHIFT = np.uint64(16)


@dataclass(slots=True)
class Link:
    """What the link layer says about N packets.

    Attributes:
        at: (N,) offset of the network header from the packet's first byte.
        ether: (N,) EtherType, 0 if none.
        src_mac, dst_mac: (N,) link addresses, 0 if none.
        reason: (N,) ``Other``.
    """

    at: Int64
    ether: UInt16
    src_mac: UInt64
    dst_mac: UInt64
    reason: UInt8


def decode_link(batch: PacketBatch, *, outer: bool = False) -> Link:
    """Read the link headers of a batch; packets of several link types may be mixed.

    Args:
        batch: N packets.
        outer: Stop behind the link header itself, before VLAN tags, PPPoE sessions and MPLS labels.
    """
    size = len(batch)
    kinds = np.unique(batch.linktype).tolist() if size and (batch.linktype != batch.linktype[0]).any() else None
    if kinds is None:
        return _decode_kind(batch, int(batch.linktype[0]) if size else 1, outer=outer)
    whole = Link(
        at=np.zeros(size, np.int64),
        ether=np.zeros(size, np.uint16),
        src_mac=np.zeros(size, np.uint64),
        dst_mac=np.zeros(size, np.uint64),
        reason=np.zeros(size, np.uint8),
    )
    for kind in kinds:
        rows = np.flatnonzero(batch.linktype == kind)
        part = _decode_kind(batch.take(rows), kind, outer=outer)
        for name in ("at", "ether", "src_mac", "dst_mac", "reason"):
            getattr(whole, name)[rows] = getattr(part, name)
    return whole


def _decode_kind(batch: PacketBatch, linktype: int, *, outer: bool) -> Link:
    decoder = _DECODERS.get(linktype)
    if decoder is None:
        return _bare(batch, np.zeros(len(batch), np.uint16), 0, Other.UNKNOWN_LINKTYPE)
    link = decoder(batch)
    if not outer:
        step_inside(batch, link.ether, link.at)
    unread = link.at > batch.cap_len
    if unread.any():
        link.reason[unread] = Other.SHORT_LINK_HEADER
        link.ether[unread] = 0
        link.at[unread] = 0
    return link


def _bare(batch: PacketBatch, ether: UInt16, header_bytes: int, reason: Other = Other.DECODED) -> Link:
    size = len(batch)
    no_mac = np.zeros(size, np.uint64)
    return Link(np.full(size, header_bytes), ether, no_mac, no_mac, np.full(size, reason, np.uint8))


_ETHERNET = np.dtype({"names": ["dst", "src", "type"], "formats": [">u8", ">u8", ">u2"], "offsets": [0, 6, 12]})


def _ethernet(batch: PacketBatch) -> Link:
    header = headers(batch.data, batch.start, batch.cap_len, _ETHERNET)
    link = _bare(batch, header["type"].astype(np.uint16), 14)
    link.dst_mac = header["dst"].astype(np.uint64) >> _MAC_SHIFT
    link.src_mac = header["src"].astype(np.uint64) >> _MAC_SHIFT
    return link


_PPP = np.dtype([("address", "u1"), ("control", "u1")])


def _ppp(batch: PacketBatch) -> Link:
    """PPP with or without the HDLC address and control bytes (RFC 1662)."""
    framing = headers(batch.data, batch.start, batch.cap_len, _PPP)
    at = np.where((framing["address"] == 0xFF) & (framing["control"] == 0x03), 2, 0)
    ether = ppp_ether(batch.data, batch.start + at, batch.cap_len - at)
    link = _bare(batch, ether, 0)
    link.at = at + 2
    return link


_VERSION = np.dtype([("version", "u1")])


def _by_version(batch: PacketBatch, header_bytes: int) -> Link:
    """IP right behind a header that does not reliably say which."""
    first = headers(batch.data, batch.start + header_bytes, batch.cap_len - header_bytes, _VERSION)["version"]
    return _bare(batch, ip_ether(first), header_bytes)


_CISCO = np.dtype({"names": ["type"], "formats": [">u2"], "offsets": [2], "itemsize": 4})


def _cisco_hdlc(batch: PacketBatch) -> Link:
    """Address, control, EtherType (RFC 1547, section 4.3.1)."""
    header = headers(batch.data, batch.start, batch.cap_len, _CISCO)
    return _bare(batch, header["type"].astype(np.uint16), _CISCO.itemsize)


_SLL = np.dtype(
    {"names": ["length", "mac", "type"], "formats": [">u2", ">u8", ">u2"], "offsets": [4, 6, 14], "itemsize": 16}
)
_SLL2 = np.dtype(
    {"names": ["type", "length", "mac"], "formats": [">u2", "u1", ">u8"], "offsets": [0, 11, 12], "itemsize": 20}
)


def _cooked(layout: np.dtype[np.void]) -> Callable[[PacketBatch], Link]:
    """Linux cooked capture: only the sender's link address is there."""

    def decode(batch: PacketBatch) -> Link:
        header = headers(batch.data, batch.start, batch.cap_len, layout)
        link = _bare(batch, header["type"].astype(np.uint16), layout.itemsize)
        mac = header["mac"].astype(np.uint64) >> _MAC_SHIFT
        link.src_mac = np.where(header["length"] == 6, mac, np.uint64(0))
        return link

    return decode


_DECODERS: dict[int, Callable[[PacketBatch], Link]] = {
    0: lambda batch: _by_version(batch, 4),  # BSD loopback: family word in either byte order
    108: lambda batch: _by_version(batch, 4),  # OpenBSD loopback
    1: _ethernet,
    9: _ppp,
    50: _ppp,
    12: lambda batch: _by_version(batch, 0),  # RAW, by three numbers
    14: lambda batch: _by_version(batch, 0),
    101: lambda batch: _by_version(batch, 0),
    228: lambda batch: _by_version(batch, 0),  # raw IPv4
    229: lambda batch: _by_version(batch, 0),  # raw IPv6
    104: _cisco_hdlc,
    113: _cooked(_SLL),
    219: lambda batch: _bare(batch, np.full(len(batch), MPLS, np.uint16), 0),
    276: _cooked(_SLL2),
}
