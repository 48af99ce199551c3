"""Yes/no facts about a packet, 56 of them in one uint64, and how to count them per window.

Layout: bit ``8 * byte + k`` is the k-th name of that byte::

    byte 0   up         udp        icmp       arp         other       fragment     malformed  -
    byte 1   syn        fin        rst_out    rst_in      odd_flags   login        unreachable ported
    byte 2   syn_up     syn_down   synack_up  synack_down arp_ask_up  arp_tell_down -          -
    byte 3   dns        ntp        dhcp       mqtt        coap        http         tls        telnet
    byte 4   shell      industrial discovery  -           -           -            -          -
    byte 5,6 the bits of ``emtc_agent.columns.Hint``, lowest first

Counting: a lookup spreads each byte of traits into one uint64 of eight byte-wide counters; those words are
summed over a window (at most 255 packets, so no counter overflows) and read back as uint8.
"""

from __future__ import annotations

import numpy as np

from emtc_agent.columns import L3, Columns, Hint, Hints, Mark
from emtc_agent.packets import Bool, Int64, UInt8, UInt16, UInt64
from emtc_agent.windows.services import SERVICE_OF_PORT
from emtc_contract.edge_v1 import SERVICES

_BYTES = (
    ("up", "udp", "icmp", "arp", "other", "fragment", "malformed", ""),
    ("syn", "fin", "rst_out", "rst_in", "odd_flags", "login", "unreachable", "ported"),
    ("syn_up", "syn_down", "synack_up", "synack_down", "arp_ask_up", "arp_tell_down", "", ""),
    SERVICES[:8],
    (*SERVICES[8:], "", "", "", "", ""),
    tuple(hint.name.lower() for hint in Hint if hint.name and hint < 256),
    (*(hint.name.lower() for hint in Hint if hint.name and hint >= 256), ""),
)
COUNTED_BYTES = len(_BYTES)
BIT = {name: 8 * byte + k for byte, names in enumerate(_BYTES) for k, name in enumerate(names) if name}

_SPREAD = np.zeros(256, np.uint64)  # byte of traits -> eight byte-wide counters
for _k in range(8):
    _SPREAD[(np.arange(256) >> _k & 1) == 1] += np.uint64(1 << 8 * _k)


def _mask(*names: str) -> int:
    return sum(1 << BIT[name] for name in names)


def _protocol_table() -> UInt64:
    """Traits by IP protocol."""
    table = np.full(256, _mask("other"), np.uint64)
    table[6] = 0
    table[17] = _mask("udp")
    table[[1, 58]] = _mask("icmp")
    return table


def _tcp_table() -> UInt64:
    """(2, 512) traits that depend on the direction, received and sent, by ``tcp flags | is_tcp << 8``."""
    table = np.zeros((2, 512), np.uint64)
    for up in (False, True):
        table[int(up)] = _mask("up") * up
        for flags in range(256):
            table[int(up), 256 + flags] |= np.uint64(_tcp_traits(flags, up=up))
    return table


def _tcp_traits(flags: int, *, up: bool) -> int:
    fin, syn, rst, ack = (bool(flags & bit) for bit in (1, 2, 4, 16))
    names = []
    if syn and not ack:
        names += ["syn", "syn_up" if up else "syn_down"]
    if syn and ack:
        names += ["synack_up" if up else "synack_down"]
    if fin:
        names += ["fin"]
    if rst:
        names += ["rst_out" if up else "rst_in"]
    if flags == 0 or (flags & 0x29) == 0x29 or (syn and fin):
        names += ["odd_flags"]
    return _mask(*names)


def _mark_table() -> UInt64:
    """Traits by ``Mark`` bits."""
    marks = np.arange(256)
    table = np.zeros(256, np.uint64)
    for mark, name in (
        (Mark.FRAGMENT, "fragment"),
        (Mark.MALFORMED, "malformed"),
        (Mark.ZERO_WINDOW, "odd_flags"),
        (Mark.TRANSPORT, "ported"),
    ):
        table[(marks & mark) != 0] |= np.uint64(1 << BIT[name])
    return table


_BY_PROTOCOL = _protocol_table()
_BY_TCP = _tcp_table()
_BY_MARK = _mark_table()
_BY_SERVICE = np.array([0, *(1 << BIT[name] for name in SERVICES)], np.uint64)
_LOGIN_PORTS = np.zeros(65536, bool)
_LOGIN_PORTS[[21, 22, 23, 2323]] = True
_HINT_SHIFT = np.uint64(8 * 5)


def service_of(columns: Columns) -> tuple[UInt16, UInt8]:
    """(N,) the port that names the service: the lower one, unless only the higher one is known; (N,) the service."""
    low = np.minimum(columns.src_port, columns.dst_port)
    high = np.maximum(columns.src_port, columns.dst_port)
    by_low, by_high = SERVICE_OF_PORT.take(low), SERVICE_OF_PORT.take(high)
    is_higher = (by_low == 0) & (by_high != 0)
    return low + (high - low) * is_higher, by_low + by_high * is_higher


def packet_traits(columns: Columns, hints: Hints, service: UInt8) -> UInt64:
    """(N,) traits that do not depend on whose packet it is."""
    traits = hints.bits.astype(np.uint64) << _HINT_SHIFT
    traits |= _BY_MARK.take(columns.marks)
    traits |= _BY_SERVICE.take(service)
    traits |= _BY_PROTOCOL.take(columns.proto)
    _mark_rare(columns, traits)
    return traits


def _mark_rare(columns: Columns, traits: UInt64) -> None:
    """Set right what few packets have: no IP protocol, unreachable messages, and log-in attempts."""
    not_ip = np.flatnonzero(columns.l3 < np.uint8(L3.IPV4))
    is_arp = columns.l3[not_ip] == L3.ARP
    traits[not_ip] &= ~_BY_PROTOCOL[columns.proto[not_ip]]
    traits[not_ip] |= np.where(is_arp, np.uint64(_mask("arp")), np.uint64(_mask("other")))
    icmp = np.flatnonzero((columns.proto == 1) | (columns.proto == 58))
    unreachable = columns.op[icmp] == np.where(columns.proto[icmp] == 1, 3, 1)
    traits[icmp[unreachable]] |= np.uint64(_mask("unreachable"))
    opening = np.flatnonzero((columns.tcp_flags & 0x12) == 0x02)
    login = _LOGIN_PORTS[columns.dst_port[opening]]
    traits[opening[login]] |= np.uint64(_mask("login"))


def direct(columns: Columns, traits: UInt64, out: UInt64) -> None:
    """Write pairs (N, 2): the traits of packets and what only the receiver sees, and what only the sender does."""
    is_tcp = (columns.proto == 6) & ((columns.marks & np.uint8(Mark.TRANSPORT)) != 0)
    tcp = columns.tcp_flags | (is_tcp.astype(np.uint16) << 8)
    for side, by_tcp in enumerate(_BY_TCP):
        np.bitwise_or(traits, by_tcp.take(tcp), out=out[:, side])
    arp = np.flatnonzero(columns.l3 == np.uint8(L3.ARP))
    if len(arp):
        out[arp[columns.op[arp] == 2], 0] |= np.uint64(_mask("arp_tell_down"))
        out[arp[columns.op[arp] == 1], 1] |= np.uint64(_mask("arp_ask_up"))


def has(traits: UInt64, name: str) -> Bool:
    """(M,) whether each record has a trait."""
    return (traits & np.uint64(1 << BIT[name])) != 0


def count(traits: UInt64, starts: Int64) -> UInt8:
    """Count every trait over consecutive segments of at most 255 records.

    Args:
        traits: (M,) traits of the records.
        starts: (W,) first record of each segment, ascending, the first 0.

    Returns:
        (W, 8 * COUNTED_BYTES) counts; column ``BIT[name]``.
    """
    counts = np.zeros((len(starts), COUNTED_BYTES), np.uint64)
    octets = traits.view(np.uint8).reshape(-1, 8)
    present = np.bitwise_or.reduce(traits, keepdims=True).view(np.uint8)
    for byte in present[:COUNTED_BYTES].nonzero()[0].tolist():
        counts[:, byte] = np.add.reduceat(_SPREAD.take(octets[:, byte]), starts)
    return counts.view(np.uint8)
