"""What may stand between the link header and the packet: VLAN tags, a PPPoE session, a stack of MPLS labels."""

from __future__ import annotations

import numpy as np

from emtc_agent.columns.gather import headers
from emtc_agent.packets import Bool, Bytes, Int64, PacketBatch, UInt8, UInt16

IPV4, ARP, IPV6 = 0x0800, 0x0806, 0x86DD
PPPOE_SESSION, MPLS, MPLS_MULTICAST = 0x8864, 0x8847, 0x8848
_PPP_TYPES = {0x0021: IPV4, 0x0057: IPV6, 0x0281: MPLS, 0x0283: MPLS_MULTICAST}
_IP_VERSIONS = {4: IPV4, 6: IPV6}
_MAX_TAGS = 3
_MAX_LABELS = 8


def step_inside(batch: PacketBatch, ether: UInt16, at: Int64) -> None:
    """Step over up to three VLAN tags, then a PPPoE session header, then up to eight MPLS labels.

    Args:
        batch: N packets.
        ether: (N,) EtherType of the link header, replaced by that of what follows.
        at: (N,) offset of what follows the link header, moved on.
    """
    rest = np.flatnonzero(ether != IPV4)
    if not len(rest):
        return
    for _ in range(_MAX_TAGS):
        tagged = rest[is_tag(ether[rest])]
        if not len(tagged):
            break
        _skip_tags(batch, tagged, ether, at)
    session = rest[ether[rest] == PPPOE_SESSION]
    if len(session):
        _skip_session(batch, session, ether, at)
    labelled = rest[(ether[rest] == MPLS) | (ether[rest] == MPLS_MULTICAST)]
    if len(labelled):
        _skip_labels(batch, labelled, ether, at)


def ppp_ether(data: Bytes, at: Int64, available: Int64) -> UInt16:
    """(K,) EtherType for the PPP protocol number read at ``at``, 0 if it is neither IP nor MPLS."""
    return _translate(headers(data, at, available, _WORD)["type"].astype(np.uint16), _PPP_TYPES)


def ip_ether(first: UInt8) -> UInt16:
    """(K,) EtherType by the first byte of a packet that is IP or something else."""
    return _translate((first >> 4).astype(np.uint16), _IP_VERSIONS)


def is_tag(ether: UInt16) -> Bool:
    """(K,) whether an EtherType is that of a VLAN tag."""
    return (ether == 0x8100) | (ether == 0x88A8) | (ether == 0x9100)  # 802.1Q, 802.1ad and its forerunner


_WORD = np.dtype([("type", ">u2")])
_TAG = np.dtype({"names": ["type"], "formats": [">u2"], "offsets": [2], "itemsize": 4})
_LABEL = np.dtype({"names": ["bottom", "first"], "formats": ["u1", "u1"], "offsets": [2, 4], "itemsize": 5})


def _skip_tags(batch: PacketBatch, rows: Int64, ether: UInt16, at: Int64) -> None:
    here = at[rows]
    ether[rows] = headers(batch.data, batch.start[rows] + here, batch.cap_len[rows] - here, _TAG)["type"]
    at[rows] = here + 4


def _skip_session(batch: PacketBatch, rows: Int64, ether: UInt16, at: Int64) -> None:
    here = at[rows] + 6
    ether[rows] = ppp_ether(batch.data, batch.start[rows] + here, batch.cap_len[rows] - here)
    at[rows] = here + 2


def _skip_labels(batch: PacketBatch, rows: Int64, ether: UInt16, at: Int64) -> None:
    """RFC 3032: only the first bits behind the bottom label tell whether it is IP."""
    ether[rows] = 0
    for _ in range(_MAX_LABELS):
        here = at[rows]
        label = headers(batch.data, batch.start[rows] + here, batch.cap_len[rows] - here, _LABEL)
        at[rows] = here + 4
        bottom = label["bottom"] & 1 == 1
        ether[rows[bottom]] = ip_ether(label["first"][bottom])
        rows = rows[~bottom]


def _translate(values: UInt16, table: dict[int, int]) -> UInt16:
    out = np.zeros(len(values), np.uint16)
    for value, ether in table.items():
        out[values == value] = ether
    return out
