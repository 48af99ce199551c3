"""From raw packets to columns: link, network, transport, and once more inside GTP-U tunnels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emtc_agent.columns.columns import L3, Columns, Mark, Other
from emtc_agent.columns.link import ARP, IPV4, IPV6, Link, decode_link
from emtc_agent.columns.network import Network, decode_arp, ipv4, ipv6
from emtc_agent.columns.transport import ICMP, ICMPV6, IGMP, TCP, UDP, decode_transport
from emtc_agent.columns.tunnel import find_inner
from emtc_agent.packets import Bool, Bytes, Int64, PacketBatch

Out = dict[str, np.ndarray]
_BY_PROTOCOL = np.full(256, Other.OTHER_PROTOCOL, np.uint8)
_BY_PROTOCOL[[TCP, UDP, ICMP, ICMPV6, IGMP]] = Other.DECODED
_NETWORK = ("proto", "ttl", "src_hi", "src_lo", "dst_hi", "dst_lo")
_TRANSPORT = ("src_port", "dst_port", "tcp_flags", "op", "payload_at", "payload_len", "payload_cap")
_DTYPES = {
    **dict.fromkeys(("ts_us", "payload_at"), np.int64),
    **dict.fromkeys(("net_len", "payload_len", "payload_cap"), np.int32),
    **dict.fromkeys(("l3", "proto", "marks", "reason", "tcp_flags", "ttl", "op"), np.uint8),
    **dict.fromkeys(("src_port", "dst_port"), np.uint16),
    **dict.fromkeys(("src_hi", "src_lo", "dst_hi", "dst_lo", "src_mac", "dst_mac", "arp_mac"), np.uint64),
    "teid": np.uint32,
}
_MAX_LENGTH = (1 << 31) - 1
_Decoder = Callable[[Bytes, Int64, Int64, Int64], Network]


def decode(batch: PacketBatch) -> Columns:
    """Decode every packet of a batch; never reads beyond a packet's captured bytes."""
    link = decode_link(batch)
    at = batch.start + link.at
    captured, wire = batch.cap_len - link.at, batch.wire_len - link.at
    is_ipv4 = link.ether == IPV4
    out = _mostly_ipv4(batch.data, is_ipv4, at, captured, wire)
    if not is_ipv4.all():
        _others(out, link, batch.data, at, captured, wire)
    bad = (out["l3"] == L3.OTHER) & is_ipv4
    if bad.any():
        out["net_len"][bad] = np.clip(wire[bad], 0, _MAX_LENGTH)
    _tunnels(out, batch.data)
    out["ts_us"], out["src_mac"], out["dst_mac"] = batch.ts_us, link.src_mac, link.dst_mac
    return Columns(**{name: out[name] for name in _DTYPES})


def _mostly_ipv4(data: Bytes, is_ipv4: Bool, at: Int64, captured: Int64, wire: Int64) -> Out:
    """Columns with the IPv4 packets decoded and the others blank, by the shorter way."""
    number = np.count_nonzero(is_ipv4)
    if 2 * number >= len(is_ipv4):
        out = _ip(L3.IPV4, ipv4, data, at, captured, wire)
        others = np.flatnonzero(~is_ipv4)
        for column in out.values() if len(others) else ():
            column[others] = 0
        out |= {name: np.zeros(len(is_ipv4), _DTYPES[name]) for name in _DTYPES if name not in out}
        return out
    out = {name: np.zeros(len(is_ipv4), dtype) for name, dtype in _DTYPES.items()}
    if number:
        rows = np.flatnonzero(is_ipv4)
        _put(out, rows, _ip(L3.IPV4, ipv4, data, at[rows], captured[rows], wire[rows]))
    return out


def _others(out: Out, link: Link, data: Bytes, at: Int64, captured: Int64, wire: Int64) -> None:
    """Decode IPv6 and ARP packets; say of the rest why not."""
    rows = np.flatnonzero(link.ether == IPV6)
    if len(rows):
        _put(out, rows, _ip(L3.IPV6, ipv6, data, at[rows], captured[rows], wire[rows]))
    rows = np.flatnonzero(link.ether == ARP)
    if len(rows):
        decode_arp(out, rows, data, at[rows], captured[rows], wire[rows])
    rest = np.flatnonzero((out["l3"] == L3.OTHER) & (out["reason"] == Other.DECODED))
    out["reason"][rest] = np.where(link.reason[rest] == Other.DECODED, np.uint8(Other.NOT_IP), link.reason[rest])
    rest = np.flatnonzero(out["l3"] == L3.OTHER)
    out["net_len"][rest] = np.clip(wire[rest], 0, _MAX_LENGTH)


def _put(out: Out, rows: Int64, part: Out) -> None:
    for name, column in part.items():
        out[name][rows] = column


def _ip(version: L3, decoder: _Decoder, data: Bytes, at: Int64, captured: Int64, wire: Int64) -> Out:
    """Columns of IP packets; those whose IP header is bad have ``L3.OTHER`` and no addresses."""
    network = decoder(data, at, captured, wire)
    transport = decode_transport(data, network)
    reason = _BY_PROTOCOL[network.proto]
    marks = network.marks | transport.marks
    if (marks & Mark.MALFORMED).any():
        reason[(transport.marks & Mark.MALFORMED) != 0] = Other.BAD_TRANSPORT
    out: Out = {
        "marks": marks,
        "reason": reason,
        "l3": np.full(len(at), version, np.uint8),
        "net_len": np.clip(network.net_len, 0, _MAX_LENGTH).astype(np.int32),
    }
    out |= {name: getattr(transport, name).astype(_DTYPES[name]) for name in _TRANSPORT}
    out |= {name: getattr(network, name).astype(_DTYPES[name]) for name in _NETWORK}
    if not network.good.all():
        bad = np.flatnonzero(~network.good)
        for name in ("l3", *_NETWORK):
            out[name][bad] = 0
        out["reason"][bad] = Other.BAD_IPV4 if version == L3.IPV4 else Other.BAD_IPV6
    return out


def _tunnels(out: Out, data: Bytes) -> None:
    """Replace the columns of GTP-U packets by those of the packet inside."""
    for version, inner in find_inner(out, data).items():
        decoder = ipv4 if version == L3.IPV4 else ipv6
        _put(out, inner.rows, _ip(L3(version), decoder, data, inner.at, inner.captured, inner.wire))
        out["marks"][inner.rows] |= np.uint8(Mark.TUNNEL)
        out["teid"][inner.rows] = inner.teid
