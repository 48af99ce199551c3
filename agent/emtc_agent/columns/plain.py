"""The plain packet, read in one go: Ethernet, IPv4 without options or fragments, a whole TCP, UDP or ICMP header.

There may be one VLAN tag. Nine of ten packets are such; they need a third of the work that the others do.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from emtc_agent.columns.columns import L3, Mark
from emtc_agent.columns.encapsulation import is_tag
from emtc_agent.columns.gather import rows_at
from emtc_agent.columns.transport import ICMP, TCP, UDP
from emtc_agent.columns.tunnel import PORT as TUNNEL_PORT
from emtc_agent.packets import Bool, Int64, PacketBatch

ETHERNET = 1
_MAPPED = np.uint64(0xFFFF_0000_0000)
_MAC_SHIFT = np.uint64(16)
_ETHERNET_BYTES, _TAG_BYTES, _IPV4_BYTES = 14, 4, 20
_SHORT = np.uint8(8)  # bytes of a UDP or ICMP header
_IPV4_VERSION_5 = 0x0800_45  # EtherType, version 4, five words of header

_FRAGMENT = 0xFF3F  # offset and "more", in the other byte order

_LAYOUT = np.dtype(
    {
        "names": [
            *("dst_mac", "src_mac", "tag", "kind", "total", "fragment", "ttl", "proto", "src", "dst"),
            *("src_port", "dst_port", "type", "udp_length", "offset", "flags", "window"),
        ],
        "formats": [
            *(">u8", ">u8", ">u2", ">u4", ">u2", "<u2", "u1", "u1", ">u4", ">u4"),
            *(">u2", ">u2", "u1", ">u2", "u1", "u1", "<u2"),
        ],
        "offsets": [*(0, 6, 12, 12, 16, 20, 22, 23, 26, 30), *(34, 36, 34, 38, 46, 47, 48)],
        "itemsize": 50,
    }
)
_OCTETS = np.dtype(f"V{_LAYOUT.itemsize}")


def read_plain(batch: PacketBatch) -> tuple[dict[str, np.ndarray], Bool]:
    """The columns of N packets as if all were plain, and (N,) which of them are: the others' values mean nothing.

    Where a packet's protocol decides, products take the place of choices: branches cost more where protocols mix.
    """
    header = rows_at(batch.data, batch.start, _LAYOUT)
    size = len(header)
    src_mac, dst_mac = (header[name].astype(np.uint64) >> _MAC_SHIFT for name in ("src_mac", "dst_mac"))
    l4_at = _step_over_tags(header, batch)
    proto = header["proto"].copy()
    is_tcp, is_udp, is_icmp = (proto == protocol for protocol in (TCP, UDP, ICMP))
    total = header["total"].astype(np.int32)
    l4_len = total - _IPV4_BYTES
    header_len = (header["offset"] >> 2 & 0x3C) * is_tcp + _SHORT * ~is_tcp
    length = l4_len * is_tcp + header["udp_length"].astype(np.int32) * is_udp + _SHORT * is_icmp
    captured = batch.cap_len - header_len - l4_at
    payload_len = length - header_len
    src_port, dst_port = (header[name].astype(np.uint16) * ~is_icmp for name in ("src_port", "dst_port"))

    is_plain = (header["kind"] >> 8 == _IPV4_VERSION_5) & (batch.linktype == ETHERNET)
    is_plain &= is_tcp | is_udp | is_icmp
    is_plain &= header["fragment"] & _FRAGMENT == 0
    is_plain &= header_len >= is_tcp * np.uint8(12) + _SHORT
    is_plain &= (payload_len >= 0) & (length <= l4_len)
    is_plain &= (captured >= 0) & (total <= batch.wire_len - l4_at + _IPV4_BYTES)
    is_plain &= (header["window"] != 0) | ~is_tcp
    is_plain &= (src_port != TUNNEL_PORT) & (dst_port != TUNNEL_PORT)
    return {
        "ts_us": batch.ts_us,
        "net_len": total,
        "l3": np.full(size, L3.IPV4, np.uint8),
        "proto": proto,
        "marks": np.uint8(Mark.TRANSPORT) * ~is_icmp,
        "reason": np.zeros(size, np.uint8),
        "tcp_flags": header["flags"] * is_tcp,
        "ttl": header["ttl"].copy(),
        "op": header["type"] * is_icmp,
        "src_port": src_port,
        "dst_port": dst_port,
        "src_hi": np.zeros(size, np.uint64),
        "src_lo": header["src"].astype(np.uint64) | _MAPPED,
        "dst_hi": np.zeros(size, np.uint64),
        "dst_lo": header["dst"].astype(np.uint64) | _MAPPED,
        "src_mac": src_mac,
        "dst_mac": dst_mac,
        "arp_mac": np.zeros(size, np.uint64),
        "teid": np.zeros(size, np.uint32),
        "payload_at": batch.start + header_len + l4_at,
        "payload_len": payload_len,
        "payload_cap": np.minimum(captured, payload_len).astype(np.int32),
    }, is_plain


def _step_over_tags(header: npt.NDArray[np.void], batch: PacketBatch) -> Int64:
    """Read packets with a VLAN tag anew as if they began there; (N,) where the transport header is."""
    at = np.full(len(header), _ETHERNET_BYTES + _IPV4_BYTES)
    tagged = np.flatnonzero(is_tag(header["tag"].astype(np.uint16)))
    if len(tagged):
        octets = header.view(_OCTETS)  # else numpy copies field by field
        octets[tagged] = rows_at(batch.data, batch.start[tagged] + _TAG_BYTES, _OCTETS)
        at[tagged] += _TAG_BYTES
    return at
