"""GTP-U version 1 (3GPP TS 29.281): where the packet inside a tunnel begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emtc_agent.columns.columns import Mark
from emtc_agent.columns.gather import headers
from emtc_agent.columns.transport import UDP
from emtc_agent.packets import Bool, Bytes, Int64, UInt32

PORT = 2152
_G_PDU = 255
_MAX_EXTENSIONS = 4
_INNER_BYTES = {4: 20, 6: 40}


@dataclass(frozen=True, slots=True)
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
_UDP_LENGTH = np.dtype([("length", ">u2")])


def find_inner(out: dict[str, np.ndarray], data: Bytes) -> dict[int, Inner]:
    """The IP packets inside the G-PDUs among decoded columns, by IP version; empty where there are none."""
    ported = (out["src_port"] == PORT) | (out["dst_port"] == PORT)
    if not ported.any():
        return {}
    rows = np.flatnonzero(ported & (out["proto"] == UDP))
    at = out["payload_at"][rows]
    captured = out["payload_cap"][rows].astype(np.int64)
    wire = _payload_bytes(out, rows, data)
    header = headers(data, at, captured, _HEADER)
    size, is_pdu = _header_sizes(data, at, captured, header)
    first = headers(data, at + size, captured - size, _OCTET)["value"]
    found = {}
    for version, least in _INNER_BYTES.items():
        fits = np.flatnonzero(is_pdu & (first >> 4 == version) & (captured - size >= least))
        if version == 4:
            fits = fits[first[fits] & 15 >= 5]
        teid = header["teid"][fits].astype(np.uint32)
        if len(fits):
            found[version] = Inner(rows[fits], (at + size)[fits], (captured - size)[fits], (wire - size)[fits], teid)
    return found


def _payload_bytes(out: dict[str, np.ndarray], rows: Int64, data: Bytes) -> Int64:
    """(K,) payload bytes of whole datagrams: the packet inside goes on in the fragments behind the first."""
    size = out["payload_len"][rows].astype(np.int64)
    first = np.flatnonzero(out["marks"][rows] & Mark.FRAGMENT)
    if len(first):
        at = out["payload_at"][rows[first]] - 4
        length = headers(data, at, np.full(len(first), 2), _UDP_LENGTH)["length"]
        size[first] = np.maximum(size[first], length.astype(np.int64) - 8)
    return size


def _header_sizes(data: Bytes, at: Int64, captured: Int64, header: np.ndarray) -> tuple[Int64, Bool]:
    """(K,) bytes of each GTP-U header with its extensions; (K,) whether it is that of a G-PDU."""
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
    return size, is_pdu & (following == 0)
