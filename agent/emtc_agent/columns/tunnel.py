"""GTP-U version 1 (3GPP TS 29.281): where the packet inside a tunnel begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emtc_agent.columns.columns import Mark
from emtc_agent.columns.gather import headers
from emtc_agent.packets import Bytes, Int64, UInt32

PORT = 2152
_G_PDU = 255
_MAX_EXTENSIONS = 4
_INNER_BYTES = {4: 20, 6: 40}


@dataclass(slots=True)
class Inner:
    """Packets with a readable IP packet inside.

    Attributes:
        rows: (K,) their rows.
        at: (K,) index in ``data`` of the inner IP header.
        captured, wire: (K,) bytes from there.
        teid: (K,) tunnel endpoint id.
    """

    rows: Int64
    at: Int64
    captured: Int64
    wire: Int64
    teid: UInt32


_HEADER = np.dtype(
    {
        "names": ["flags", "type", "teid", "next"],
        "formats": ["u1", "u1", ">u4", "u1"],
        "offsets": [0, 1, 4, 11],
        "itemsize": 12,
    }
)
_OCTET = np.dtype([("value", "u1")])


def find_inner(out: dict[str, np.ndarray], data: Bytes, version: int) -> Inner:
    """Find packets of an IP version inside the G-PDUs among decoded columns."""
    ported = (out["src_port"] == PORT) | (out["dst_port"] == PORT)
    rows = np.flatnonzero(ported & (out["proto"] == 17) & ((out["marks"] & Mark.TUNNEL) == 0))
    at = out["payload_at"][rows]
    captured = out["payload_cap"][rows].astype(np.int64)
    wire = out["payload_len"][rows].astype(np.int64)
    header = headers(data, at, captured, _HEADER)
    flags = header["flags"]
    is_pdu = (flags >> 4 == 3) & (header["type"] == _G_PDU) & (captured >= 8)  # version 1, GTP (not prime)
    size = np.where(flags & 7 != 0, 12, 8)
    following = np.where(flags & 4 != 0, header["next"], 0)
    for _ in range(_MAX_EXTENSIONS):
        more = is_pdu & (following != 0) & (size < captured)
        if not more.any():
            break
        units = headers(data, at + size, captured - size, _OCTET)["value"].astype(np.int64)
        is_pdu &= ~(more & (units == 0))
        size = np.where(more, size + units * 4, size)
        last = headers(data, at + size - 1, captured - size + 1, _OCTET)["value"]
        following = np.where(more, last, following)
    first = headers(data, at + size, captured - size, _OCTET)["value"]
    fits = is_pdu & (following == 0) & (first >> 4 == version) & (captured - size >= _INNER_BYTES[version])
    if version == 4:
        fits &= first & 15 >= 5
    return Inner(
        rows[fits], (at + size)[fits], (captured - size)[fits], (wire - size)[fits], header["teid"][fits].astype("u4")
    )
