"""The plain packet, read in one go: Ethernet, IP without options or fragments, a whole TCP, UDP or ICMP header.

There may be one VLAN tag. Nearly all packets are such; they need a third of the work that the others do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from emtc_agent.columns.columns import L3, Mark
from emtc_agent.columns.encapsulation import is_tag
from emtc_agent.columns.gather import rows_at
from emtc_agent.columns.transport import ICMP, ICMPV6, TCP, UDP
from emtc_agent.columns.tunnel import PORT as TUNNEL_PORT
from emtc_agent.packets import Bool, Int64, PacketBatch, UInt64

ETHERNET = 1
_MAPPED = np.uint64(0xFFFF_0000_0000)
_MAC_SHIFT = np.uint64(16)
_ETHERNET_BYTES, _TAG_BYTES = 14, 4
_SHORT = np.uint8(8)  # bytes of a UDP or ICMP header
_FRAGMENT = 0xFF3F  # IPv4's offset and "more", in the other byte order

_Fields = dict[str, tuple[str, int]]
_LINK: _Fields = {"dst_mac": (">u8", 0), "src_mac": (">u8", 6), "tag": (">u2", 12), "kind": (">u4", 12)}
_PORTS: _Fields = {"src_port": (">u2", 0), "dst_port": (">u2", 2), "type": ("u1", 0), "udp_length": (">u2", 4)}
_TRANSPORT: _Fields = _PORTS | {"offset": ("u1", 12), "flags": ("u1", 13), "window": ("<u2", 14)}


@dataclass(frozen=True)
class Plain:
    """How the plain packets of one IP version are told and read.

    Attributes:
        l3: The version.
        kind: EtherType and first bits of the IP header.
        kind_shift: Bits that follow them in a 32-bit word.
        header_bytes: Size of the IP header.
        beside: Bytes that the header's length field does not count.
        icmp: Protocol number of its ICMP.
        fields: Of the IP header.
    """

    l3: L3
    kind: int
    kind_shift: int
    header_bytes: int
    beside: int
    icmp: int
    fields: _Fields

    @cached_property
    def layout(self) -> np.dtype[np.void]:
        """From the first byte of the frame to the TCP window."""
        ip_at, l4_at = _ETHERNET_BYTES, _ETHERNET_BYTES + self.header_bytes
        parts = ((_LINK, 0), (self.fields, ip_at), (_TRANSPORT, l4_at))
        fields = {name: (kind, base + at) for part, base in parts for name, (kind, at) in part.items()}
        formats, offsets = zip(*fields.values(), strict=True)
        return np.dtype({"names": list(fields), "formats": formats, "offsets": offsets, "itemsize": l4_at + 16})


PLAIN_IPV4 = Plain(
    *(L3.IPV4, 0x0800_45, 8, 20, 0, ICMP),
    {"length": (">u2", 2), "fragment": ("<u2", 6), "ttl": ("u1", 8), "proto": ("u1", 9)}
    | {"src": (">u4", 12), "dst": (">u4", 16)},
)
PLAIN_IPV6 = Plain(
    *(L3.IPV6, 0x86DD_6, 12, 40, 40, ICMPV6),
    {"length": (">u2", 4), "proto": ("u1", 6), "ttl": ("u1", 7)}
    | {"src_hi": (">u8", 8), "src_lo": (">u8", 16), "dst_hi": (">u8", 24), "dst_lo": (">u8", 32)},
)


def read_plain(batch: PacketBatch, version: Plain) -> tuple[dict[str, np.ndarray], Bool]:
    """The columns of N packets as if all were plain, and (N,) which of them are: the others' values mean nothing.

    Where a packet's protocol decides, products take the place of choices: branches cost more where protocols mix.
    """
    header = rows_at(batch.data, batch.start, version.layout)
    size = len(header)
    src_mac, dst_mac = (header[name].astype(np.uint64) >> _MAC_SHIFT for name in ("src_mac", "dst_mac"))
    l4_at = _step_over_tags(header, batch) + version.header_bytes
    proto = header["proto"].copy()
    is_tcp, is_udp, is_icmp = (proto == protocol for protocol in (TCP, UDP, version.icmp))
    total = header["length"].astype(np.int32) + np.int32(version.beside)
    l4_len = total - version.header_bytes
    header_len = (header["offset"] >> 2 & 0x3C) * is_tcp + _SHORT * ~is_tcp
    length = l4_len * is_tcp + header["udp_length"].astype(np.int32) * is_udp + _SHORT * is_icmp
    captured = batch.cap_len - header_len - l4_at
    payload_len = length - header_len
    src_port, dst_port = (header[name].astype(np.uint16) * ~is_icmp for name in ("src_port", "dst_port"))

    is_plain = (header["kind"] >> version.kind_shift == version.kind) & (batch.linktype == ETHERNET)
    if version is PLAIN_IPV4:
        is_plain &= header["fragment"] & _FRAGMENT == 0
    is_plain &= is_tcp | is_udp | is_icmp
    is_plain &= header_len >= is_tcp * np.uint8(12) + _SHORT
    is_plain &= (payload_len >= 0) & (length <= l4_len)
    is_plain &= (captured >= 0) & (total <= batch.wire_len - l4_at + version.header_bytes)
    is_plain &= (header["window"] != 0) | ~is_tcp
    is_plain &= (src_port != TUNNEL_PORT) & (dst_port != TUNNEL_PORT)
    return {
        "ts_us": batch.ts_us,
        "net_len": total,
        "l3": np.full(size, version.l3, np.uint8),
        "proto": proto,
        "marks": np.uint8(Mark.TRANSPORT) * ~is_icmp,
        "reason": np.zeros(size, np.uint8),
        "tcp_flags": header["flags"] * is_tcp,
        "ttl": header["ttl"].copy(),
        "op": header["type"] * is_icmp,
        "src_port": src_port,
        "dst_port": dst_port,
        **_addresses(header, version),
        "src_mac": src_mac,
        "dst_mac": dst_mac,
        "arp_mac": np.zeros(size, np.uint64),
        "teid": np.zeros(size, np.uint32),
        "payload_at": batch.start + header_len + l4_at,
        "payload_len": payload_len,
        "payload_cap": np.minimum(captured, payload_len).astype(np.int32),
    }, is_plain


def _addresses(header: npt.NDArray[np.void], version: Plain) -> dict[str, UInt64]:
    """Both halves of source and destination."""
    if version is PLAIN_IPV6:
        return {name: header[name].astype(np.uint64) for name in ("src_hi", "src_lo", "dst_hi", "dst_lo")}
    size = len(header)
    return {
        "src_hi": np.zeros(size, np.uint64),
        "src_lo": header["src"].astype(np.uint64) | _MAPPED,
        "dst_hi": np.zeros(size, np.uint64),
        "dst_lo": header["dst"].astype(np.uint64) | _MAPPED,
    }


def _step_over_tags(header: npt.NDArray[np.void], batch: PacketBatch) -> Int64:
    """Read packets with a VLAN tag anew as if they began there; (N,) where the IP header is."""
    at = np.full(len(header), _ETHERNET_BYTES)
    tagged = np.flatnonzero(is_tag(header["tag"].astype(np.uint16)))
    if len(tagged):
        octets = header.view(f"V{header.itemsize}")  # else numpy copies field by field
        octets[tagged] = rows_at(batch.data, batch.start[tagged] + _TAG_BYTES, octets.dtype)
        at[tagged] += _TAG_BYTES
    return at
