"""From raw packets to columns: link, network, transport, and once more inside GTP-U tunnels."""

from __future__ import annotations

import numpy as np

from emtc_agent.columns.columns import L3, Columns, Mark, Other
from emtc_agent.columns.encapsulation import ARP, IPV4, IPV6
from emtc_agent.columns.link import Link, decode_link
from emtc_agent.columns.network import Network, decode_arp, ipv4, ipv6
from emtc_agent.columns.plain import ETHERNET, PLAIN_IPV4, PLAIN_IPV6, Plain, read_plain
from emtc_agent.columns.transport import ICMP, ICMPV6, IGMP, TCP, UDP, decode_transport
from emtc_agent.columns.tunnel import find_inner
from emtc_agent.packets import Bytes, Int64, PacketBatch, UInt16

Out = dict[str, np.ndarray]
_BY_PROTOCOL = np.full(256, Other.OTHER_PROTOCOL, np.uint8)
_BY_PROTOCOL[[TCP, UDP, ICMP, ICMPV6, IGMP]] = Other.DECODED
_NETWORK = ("l3", "proto", "ttl", "src_hi", "src_lo", "dst_hi", "dst_lo")
_TRANSPORT = ("src_port", "dst_port", "tcp_flags", "op", "payload_at", "payload_len", "payload_cap")
_DTYPES = {
    **dict.fromkeys(("ts_us", "payload_at"), np.int64),
    **dict.fromkeys(("net_len", "payload_len", "payload_cap"), np.int32),
    **dict.fromkeys(("l3", "proto", "marks", "reason", "tcp_flags", "ttl", "op"), np.uint8),
    **dict.fromkeys(("src_port", "dst_port"), np.uint16),
    **dict.fromkeys(("src_hi", "src_lo", "dst_hi", "dst_lo", "src_mac", "dst_mac", "arp_mac"), np.uint64),
    "teid": np.uint32,
}
_PLAIN_FROM = 256
_MAX_LENGTH = (1 << 31) - 1  # a record can claim twice as much


def decode(batch: PacketBatch, plain_from: int = _PLAIN_FROM) -> Columns:
    """Decode every packet of a batch; tells nothing of bytes beyond a packet's captured ones.

    Args:
        batch: The packets.
        plain_from: Size of a batch that is worth reading its plain packets apart; the columns are the same.
    """
    if len(batch) < plain_from or batch.linktype[0] != ETHERNET:
        return decode_any(batch)
    return _decode_plain(batch, (PLAIN_IPV4, PLAIN_IPV6), plain_from)


def _decode_plain(batch: PacketBatch, versions: tuple[Plain, ...], plain_from: int) -> Columns:
    """Read the plain packets of the first version apart; of what is left, those of the next one."""
    if not versions or len(batch) < plain_from:
        return decode_any(batch)
    out, is_plain = read_plain(batch, versions[0])
    others = np.flatnonzero(~is_plain)
    if len(others):
        found = _decode_plain(batch.take(others), versions[1:], plain_from)
        for name in _DTYPES.keys() - {"ts_us"}:
            out[name][others] = getattr(found, name)
    return Columns(**out)


def decode_any(batch: PacketBatch) -> Columns:
    """Decode packets of any kind."""
    link = decode_link(batch)
    at = batch.start + link.at
    captured, wire = batch.cap_len - link.at, np.minimum(batch.wire_len, _MAX_LENGTH) - link.at
    out = _ip_columns(batch.data, _network(batch.data, link.ether, at, captured, wire))
    out["arp_mac"], out["teid"] = np.zeros(len(batch), np.uint64), np.zeros(len(batch), np.uint32)
    if (link.ether != IPV4).any():
        _not_ip(out, link, batch.data, at, captured, wire)
    _tunnels(out, batch.data)
    out["ts_us"], out["src_mac"], out["dst_mac"] = batch.ts_us, link.src_mac, link.dst_mac
    return Columns(**{name: out[name] for name in _DTYPES})


def _network(data: Bytes, ether: UInt16, at: Int64, captured: Int64, wire: Int64) -> Network:
    """IP headers of all packets; not good where there is none."""
    first, decoder = (IPV4, ipv4) if (ether == IPV4).any() else (IPV6, ipv6)
    network = decoder(data, at, captured, wire)  # for all: cheaper than picking those that are
    others = np.flatnonzero(ether != first)
    if len(others):
        network.good[others] = False
        network.marks[others] = 0
        network.net_len[others] = wire[others]
        rows = others[ether[others] == IPV6] if first == IPV4 else others[:0]
        if len(rows):
            network.put(rows, ipv6(data, at[rows], captured[rows], wire[rows]))
    return network


def _ip_columns(data: Bytes, network: Network) -> Out:
    """Columns of IP packets; those whose IP header is not good have ``L3.OTHER`` and no addresses."""
    transport = decode_transport(data, network)
    reason = _BY_PROTOCOL[network.proto]
    marks = network.marks | transport.marks
    if (marks & Mark.MALFORMED).any():
        reason[(transport.marks & Mark.MALFORMED) != 0] = Other.BAD_TRANSPORT
    out: Out = {"marks": marks, "reason": reason, "net_len": network.net_len.astype(np.int32)}
    out |= {name: getattr(transport, name).astype(_DTYPES[name], copy=False) for name in _TRANSPORT}
    out |= {name: getattr(network, name).astype(_DTYPES[name], copy=False) for name in _NETWORK}
    bad = np.flatnonzero(~network.good)
    if len(bad):
        out["reason"][bad] = np.where(network.l3[bad] == L3.IPV4, np.uint8(Other.BAD_IPV4), np.uint8(Other.BAD_IPV6))
        for name in (*_NETWORK, "payload_at"):
            out[name][bad] = 0
    return out


def _not_ip(out: Out, link: Link, data: Bytes, at: Int64, captured: Int64, wire: Int64) -> None:
    """Decode ARP packets; say of the rest why not."""
    rows = np.flatnonzero(link.ether == ARP)
    if len(rows):
        decode_arp(out, rows, data, at[rows], captured[rows], wire[rows])
    rest = np.flatnonzero((link.ether != IPV4) & (link.ether != IPV6) & (link.ether != ARP))
    out["reason"][rest] = np.where(link.reason[rest] == Other.DECODED, np.uint8(Other.NOT_IP), link.reason[rest])


def _tunnels(out: Out, data: Bytes) -> None:
    """Replace the columns of GTP-U packets by those of the packet inside; damage of the outer headers stays told."""
    for version, inner in find_inner(out, data).items():
        decoder = ipv4 if version == L3.IPV4 else ipv6
        columns = _ip_columns(data, decoder(data, inner.at, inner.captured, inner.wire))
        columns["marks"] |= np.uint8(Mark.TUNNEL) | out["marks"][inner.rows] & np.uint8(Mark.MALFORMED)
        columns["teid"] = inner.teid
        for name, column in columns.items():
            out[name][inner.rows] = column
