"""From raw packets to columns: link, network, transport, and once more inside GTP-U tunnels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emtc_agent.columns.columns import L3, Columns, Mark, Other
from emtc_agent.columns.gather import EVERY, Rows
from emtc_agent.columns.link import ARP, IPV4, IPV6, decode_link
from emtc_agent.columns.network import Network, decode_arp, ipv4, ipv6
from emtc_agent.columns.transport import ICMP, ICMPV6, IGMP, TCP, UDP, decode_transport
from emtc_agent.columns.tunnel import Inner, find_inner
from emtc_agent.packets import Bytes, Int64, PacketBatch

Out = dict[str, np.ndarray]
_COMMON = np.isin(np.arange(256), (TCP, UDP, ICMP, ICMPV6, IGMP))
_DTYPES = {
    **dict.fromkeys(("ts_us", "payload_at"), np.int64),
    **dict.fromkeys(("net_len", "payload_len", "payload_cap"), np.int32),
    **dict.fromkeys(("l3", "proto", "marks", "reason", "tcp_flags", "ttl", "op"), np.uint8),
    **dict.fromkeys(("src_port", "dst_port"), np.uint16),
    **dict.fromkeys(("src_hi", "src_lo", "dst_hi", "dst_lo", "src_mac", "dst_mac", "arp_mac"), np.uint64),
    "teid": np.uint32,
}
_MAX_LENGTH = (1 << 31) - 1


def decode(batch: PacketBatch) -> Columns:
    """Decode every packet of a batch; never reads beyond a packet's captured bytes."""
    out: Out = {name: np.zeros(len(batch), dtype) for name, dtype in _DTYPES.items()}
    link = decode_link(batch)
    out["ts_us"], out["src_mac"], out["dst_mac"] = batch.ts_us, link.src_mac, link.dst_mac
    at = batch.start + link.at
    captured, wire = batch.cap_len - link.at, batch.wire_len - link.at
    for ether, version, decoder in ((IPV4, L3.IPV4, ipv4), (IPV6, L3.IPV6, ipv6)):
        rows = _rows(link.ether == ether)
        if rows is not None:
            _ip(out, rows, version, decoder, batch.data, at[rows], captured[rows], wire[rows])
    rows = _rows(link.ether == ARP)
    if rows is not None:
        decode_arp(out, rows, batch.data, at[rows], captured[rows], wire[rows])
    rest = np.flatnonzero(out["l3"] == L3.OTHER)
    if len(rest):
        unread = (out["reason"][rest] == Other.DECODED) & (link.reason[rest] == Other.DECODED)
        reason = np.where(unread, np.uint8(Other.NOT_IP), link.reason[rest])
        out["reason"][rest] = np.where(out["reason"][rest] == Other.DECODED, reason, out["reason"][rest])
        out["net_len"][rest] = np.clip(wire[rest], 0, _MAX_LENGTH)
    _tunnels(out, batch.data)
    return Columns(**out)


def _rows(chosen: np.ndarray) -> Rows | None:
    """All rows, some, or None if there are none."""
    if chosen.all():
        return EVERY if len(chosen) else None
    rows = np.flatnonzero(chosen)
    return rows if len(rows) else None


def _ip(
    out: Out,
    rows: Rows,
    version: L3,
    decoder: Callable[[Bytes, Int64, Int64, Int64], Network],
    data: Bytes,
    at: Int64,
    captured: Int64,
    wire: Int64,
) -> None:
    """Decode IP and transport of some packets into the columns."""
    network = decoder(data, at, captured, wire)
    transport = decode_transport(data, network)
    good = network.good
    whole = good.all()
    bad = np.uint8(Other.BAD_IPV4 if version == L3.IPV4 else Other.BAD_IPV6)
    marks = network.marks | transport.marks
    reason = np.where(_COMMON[network.proto], np.uint8(Other.DECODED), np.uint8(Other.OTHER_PROTOCOL))
    reason[(transport.marks & Mark.MALFORMED) != 0] = Other.BAD_TRANSPORT
    out["marks"][rows] = marks
    out["reason"][rows] = reason if whole else np.where(good, reason, bad)
    out["l3"][rows] = version if whole else np.where(good, np.uint8(version), np.uint8(L3.OTHER))
    out["net_len"][rows] = np.clip(network.net_len, 0, _MAX_LENGTH)
    out["payload_at"][rows] = transport.payload_at
    for name in ("src_port", "dst_port", "tcp_flags", "op", "payload_len", "payload_cap"):
        out[name][rows] = getattr(transport, name)
    for name in ("proto", "ttl", "src_hi", "src_lo", "dst_hi", "dst_lo"):
        value = getattr(network, name)
        out[name][rows] = value if whole else np.where(good, value, np.zeros(1, value.dtype))


def _tunnels(out: Out, data: Bytes) -> None:
    """Replace the columns of GTP-U packets by those of the packet inside."""
    for version, decoder in ((4, ipv4), (6, ipv6)):
        inner: Inner = find_inner(out, data, version)
        if not len(inner.rows):
            continue
        _ip(out, inner.rows, L3(version), decoder, data, inner.at, inner.captured, inner.wire)
        out["marks"][inner.rows] |= np.uint8(Mark.TUNNEL)
        out["teid"][inner.rows] = inner.teid
