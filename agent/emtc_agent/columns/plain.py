"""The plain packet, read in one go: Ethernet, IPv4 without options or fragments, and a whole TCP or UDP header.

Nine of ten packets are such. They need a third of the work that the others do, and give the same columns.
"""

from __future__ import annotations

import numpy as np

from emtc_agent.columns.columns import L3, Mark
from emtc_agent.columns.gather import rows_at
from emtc_agent.columns.transport import TCP, UDP
from emtc_agent.columns.tunnel import PORT as TUNNEL_PORT
from emtc_agent.packets import Bool, PacketBatch

ETHERNET = 1
_MAPPED = np.uint64(0xFFFF_0000_0000)
_MAC_SHIFT = np.uint64(16)
_IPV4_AT, _L4_AT = 14, 34
_IPV4_VERSION_5 = 0x0800_45  # EtherType, version 4, five words of header

_FRAGMENT = 0xFF3F  # offset and "more", in the other byte order

_LAYOUT = np.dtype(
    {
        "names": [
            *("dst_mac", "src_mac", "kind", "total", "fragment", "ttl", "proto", "src", "dst"),
            *("src_port", "dst_port", "udp_length", "offset", "flags", "window"),
        ],
        "formats": [
            *(">u8", ">u8", ">u4", ">u2", "<u2", "u1", "u1", ">u4", ">u4"),
            *(">u2", ">u2", ">u2", "u1", "u1", "<u2"),
        ],
        "offsets": [*(0, 6, 12, 16, 20, 22, 23, 26, 30), *(34, 36, 38, 46, 47, 48)],
        "itemsize": 50,
    }
)


def read_plain(batch: PacketBatch) -> tuple[dict[str, np.ndarray], Bool]:
    """The columns of N packets as if all were plain, and (N,) which of them are: the others' values mean nothing."""
    header = rows_at(batch.data, batch.start, _LAYOUT)
    size = len(header)
    is_tcp = header["proto"] == TCP
    total = header["total"].astype(np.int32)
    l4_len = total - (_L4_AT - _IPV4_AT)
    least_len = is_tcp * np.uint8(12) + np.uint8(8)  # products: a branch on each packet's protocol costs more
    header_len = (header["offset"] >> 2 & 0x3C) * is_tcp + np.uint8(8) * ~is_tcp
    length = l4_len * is_tcp + header["udp_length"].astype(np.int32) * ~is_tcp
    captured = batch.cap_len - header_len - _L4_AT
    payload_len = length - header_len
    src_port, dst_port = header["src_port"].astype(np.uint16), header["dst_port"].astype(np.uint16)

    is_plain = (header["kind"] >> 8 == _IPV4_VERSION_5) & (batch.linktype == ETHERNET)
    is_plain &= is_tcp | (header["proto"] == UDP)
    is_plain &= header["fragment"] & _FRAGMENT == 0
    is_plain &= header_len >= least_len
    is_plain &= (payload_len >= 0) & (length <= l4_len)
    is_plain &= (captured >= 0) & (total <= batch.wire_len - _IPV4_AT)
    is_plain &= (header["window"] != 0) | ~is_tcp
    is_plain &= (src_port != TUNNEL_PORT) & (dst_port != TUNNEL_PORT)
    return {
        "ts_us": batch.ts_us,
        "net_len": total,
        "l3": np.full(size, L3.IPV4, np.uint8),
        "proto": header["proto"].copy(),
        "marks": np.full(size, Mark.TRANSPORT, np.uint8),
        "reason": np.zeros(size, np.uint8),
        "tcp_flags": header["flags"] * is_tcp,
        "ttl": header["ttl"].copy(),
        "op": np.zeros(size, np.uint8),
        "src_port": src_port,
        "dst_port": dst_port,
        "src_hi": np.zeros(size, np.uint64),
        "src_lo": header["src"].astype(np.uint64) | _MAPPED,
        "dst_hi": np.zeros(size, np.uint64),
        "dst_lo": header["dst"].astype(np.uint64) | _MAPPED,
        "src_mac": header["src_mac"].astype(np.uint64) >> _MAC_SHIFT,
        "dst_mac": header["dst_mac"].astype(np.uint64) >> _MAC_SHIFT,
        "arp_mac": np.zeros(size, np.uint64),
        "teid": np.zeros(size, np.uint32),
        "payload_at": batch.start + header_len + _L4_AT,
        "payload_len": payload_len,
        "payload_cap": np.minimum(captured, payload_len).astype(np.int32),
    }, is_plain
