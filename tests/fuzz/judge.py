"""What must hold for any input, however broken."""

from __future__ import annotations

from struct import unpack_from

import numpy as np

from emtc_agent.columns import L3, Columns, Hint, Hints, Mark, Other
from emtc_agent.packets import GUARD_BYTES, PacketBatch
from emtc_agent.windows.windows import EndpointKind, ExtractorStats, Windows
from emtc_contract.schema import FeatureSchema

MOST_CAPTURED = 1 << 20
MOST_LENGTH = (1 << 31) - 1
MOST_TIME_US = (1 << 62) + (1 << 60)
_PORTS = ("src_port", "dst_port", "payload_len", "payload_cap")
_ADDRESSES = ("src_hi", "src_lo", "dst_hi", "dst_lo")
_FROM_IP_OR_ARP = (*_ADDRESSES, "op")
_UNBOUNDED = {"ciciot2023-39": ("Rate", "Std", "Variance")}
"""Rate is infinite without a time span; Std and Variance of one frame are none."""
_MAY_FALL = {"ciciot2023-39": ("IAT",), "ciciot2023-46": ("IAT",)}
"""Gaps of capture times, which may run back."""
_SHARES = {
    "edge-v1": lambda name: name.endswith("_share"),
    "ciciot2023-39": lambda name: name.endswith("_flag_number") or name in _PROTOCOLS,
    "ciciot2023-46": lambda name: name.endswith("_flag_number") or name in (*_PROTOCOLS, "Variance"),
}
_PROTOCOLS = (
    "HTTP",
    "HTTPS",
    "DNS",
    "Telnet",
    "SMTP",
    "SSH",
    "IRC",
    "TCP",
    "UDP",
    "DHCP",
    "ARP",
    "ICMP",
    "IPv",
    "LLC",
)


def check_batch(batch: PacketBatch) -> None:
    """What readers promise."""
    assert (batch.start >= 0).all()
    assert (batch.cap_len >= 0).all()
    assert (batch.cap_len <= MOST_CAPTURED).all()
    assert (batch.start + batch.cap_len + GUARD_BYTES <= len(batch.data)).all()
    assert (batch.wire_len >= batch.cap_len).all()
    assert (batch.wire_len <= 0xFFFF_FFFF).all()
    assert (np.abs(batch.ts_us) <= MOST_TIME_US).all()


def check_columns(batch: PacketBatch, columns: Columns, hints: Hints) -> None:
    """Every column in range, and nothing told that a packet does not have."""
    for name in columns.__slots__:
        assert getattr(columns, name).shape == batch.start.shape, name
    _check_lengths(batch, columns)
    marks = columns.marks
    ported = (marks & Mark.TRANSPORT) != 0
    assert np.isin(columns.proto[ported], (6, 17)).all()
    for name in _PORTS:
        assert not getattr(columns, name)[~ported].any(), name
    assert not columns.tcp_flags[~ported | (columns.proto != 6)].any()
    assert ((marks & Mark.LATER_FRAGMENT == 0) | (marks & Mark.FRAGMENT != 0)).all()
    assert not (ported & (marks & Mark.LATER_FRAGMENT != 0)).any()
    assert np.isin(columns.l3, list(L3)).all()
    assert (columns.reason <= max(Other)).all()
    nothing = columns.l3 == L3.OTHER
    assert (columns.reason[nothing] != Other.DECODED).all()
    for name in _FROM_IP_OR_ARP:
        assert not getattr(columns, name)[nothing].any(), name
    assert not columns.teid[(marks & Mark.TUNNEL) == 0].any()
    for name in ("src_mac", "dst_mac", "arp_mac"):
        assert (getattr(columns, name) < 1 << 48).all(), name
    assert not columns.arp_mac[columns.l3 != L3.ARP].any()
    silent = ~ported | (columns.payload_cap == 0)
    assert not hints.bits[silent].any()
    assert not hints.dns_name_len[(hints.bits & Hint.DNS_QUERY) == 0].any()


def _check_lengths(batch: PacketBatch, columns: Columns) -> None:
    assert (columns.ts_us == batch.ts_us).all()
    assert (columns.net_len >= 0).all()
    wire = np.minimum(batch.wire_len, MOST_LENGTH)
    claims = ((columns.marks & Mark.MALFORMED) != 0) | (columns.l3 == L3.ARP)
    assert (claims | (columns.net_len <= wire)).all()
    assert (columns.net_len <= np.maximum(wire, 65_575)).all()
    assert (columns.payload_len >= 0).all()
    assert (columns.payload_len <= columns.net_len).all()
    assert (columns.payload_cap >= 0).all()
    assert (columns.payload_cap <= columns.payload_len).all()
    filled = columns.payload_cap > 0
    assert (columns.payload_at >= batch.start)[filled].all()
    assert (columns.payload_at + columns.payload_cap <= batch.start + batch.cap_len)[filled].all()


def check_same(one: object, other: object) -> None:
    """Two sets of columns with the same content, bit for bit."""
    for name in one.__slots__:  # type: ignore[attr-defined]
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name


def check_windows(windows: Windows, schema: FeatureSchema) -> None:
    """Every feature in range."""
    size = schema.window.packets
    assert windows.features.shape == (len(windows), len(schema.columns))
    assert ((windows.packets >= 1) & (windows.packets <= size)).all()
    assert (windows.kind <= max(EndpointKind)).all()
    assert (windows.slot >= 0).all()
    by_address = np.isin(windows.kind, (EndpointKind.IP, EndpointKind.TEID))
    assert (windows.ip_lo == windows.id_lo)[by_address].all()
    assert (windows.ip_hi == windows.id_hi)[by_address].all()
    for number, name in enumerate(schema.columns):
        column = windows.features[:, number]
        if name in _UNBOUNDED.get(schema.name, ()):
            column = column[windows.packets > 1]
            assert not np.isnan(column).any(), name
        else:
            assert np.isfinite(column).all(), name
        assert name in _MAY_FALL.get(schema.name, ()) or (column >= 0).all(), name
        assert not _SHARES[schema.name](name) or (column <= 1).all(), name


def check_counts(stats: ExtractorStats, windows: Windows, packets: int) -> None:
    """No packet is lost silently, and none is counted twice."""
    assert stats.packets == packets
    assert stats.windows == len(windows)
    told = int(windows.packets.sum())
    if not len(windows) or windows.kind[0] == EndpointKind.CAPTURE:
        assert told + sum(stats.other.values()) == packets or not len(windows)
    else:
        assert packets - stats.unattributed <= told <= 2 * packets


def plain_pcap(content: bytes) -> list[bytes]:
    """The packets of a pcap, record by record, until one does not fit."""
    order = "<" if content[:1] in (b"\xd4", b"\x4d") else ">"
    found, at = [], 24
    while at + 16 <= len(content):
        size = unpack_from(order + "I", content, at + 8)[0]
        if size > 262_144 or at + 16 + size > len(content):
            break
        found.append(content[at + 16 : at + 16 + size])
        at += 16 + size
    return found
