"""A kernel filter (classic BPF) that cuts packets, and leaves out one TCP connection: our own to the broker.

Without that a gateway that captures on its uplink would report its own reports. See the kernel's
Documentation/networking/filter.rst.
"""

from __future__ import annotations

import ipaddress
from struct import pack

Address = tuple[str, int]
Pair = tuple[Address, Address]
_Step = tuple[int, int, str, str]  # code, constant, where to go if it holds and if not ("" is on)

_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE = 0x20, 0x28, 0x30  # BPF_LD | BPF_ABS | size
_LOAD_HALF_AFTER = 0x48  # BPF_LD | BPF_IND | BPF_H
_LOAD_HEADER_LENGTH = 0xB1  # BPF_LDX | BPF_MSH | BPF_B: 4 * (byte & 15)
_SHIFT_RIGHT = 0x74  # BPF_ALU | BPF_RSH | BPF_K
_LOAD_LENGTH = 0x80  # BPF_LD | BPF_W | BPF_LEN
_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_EQUALS = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_TCP = 6
_ETHERTYPE_AT, _IPV4, _IPV6 = 12, 0x0800, 0x86DD
_KEEP, _DROP = "keep", "drop"


def program(snaplen: int, *, ethernet: bool, without: Pair | None = None) -> bytes:
    """The instructions, eight bytes each.

    Args:
        snaplen: Bytes kept of each packet.
        ethernet: Whether packets begin with an Ethernet header; otherwise with IP.
        without: Both ends of the TCP connection to leave out.
    """
    steps: list[tuple[str, _Step]] = [] if without is None else _without(without, 14 if ethernet else 0)
    steps += [(_KEEP, (_RETURN, snaplen, "", "")), (_DROP, (_RETURN, 0, "", ""))]
    at = {label: position for position, (label, _) in enumerate(steps) if label}
    octets = b""
    for position, (_, (code, constant, yes, no)) in enumerate(steps):
        jump_yes, jump_no = (at[label] - position - 1 if label else 0 for label in (yes, no))
        octets += pack("=HBBI", code, jump_yes, jump_no, constant)
    return octets


def _without(pair: Pair, link: int) -> list[tuple[str, _Step]]:
    """Steps that send the packets of a connection to ``drop`` and all others to ``keep``."""
    (own, own_port), (peer, peer_port) = pair
    addresses = [_words(own), _words(peer)]
    if any(words is None for words in addresses) or len(addresses[0] or ()) != len(addresses[1] or ()):
        return []
    own_words, peer_words = (words or () for words in addresses)
    is_v4 = len(own_words) == 1
    steps = [*_long_enough(link + (24 if is_v4 else 44)), *_version(link, is_v4=is_v4)]
    steps += [("", (_LOAD_BYTE, link + (9 if is_v4 else 6), "", ""))]
    steps.append(("", (_EQUALS, _TCP, "", _KEEP)))
    source_at, target_at = (link + 12, link + 16) if is_v4 else (link + 8, link + 24)
    steps += _ends("sent", own_words, peer_words, source_at, target_at, "got")
    steps += _ports(own_port, peer_port, link, is_v4=is_v4)
    steps += _ends("got", peer_words, own_words, source_at, target_at, _KEEP)
    steps += _ports(peer_port, own_port, link, is_v4=is_v4)
    return steps


def _long_enough(size_bytes: int) -> list[tuple[str, _Step]]:
    """Keep what is shorter: a load beyond the end of a packet would drop it."""
    return [("", (_LOAD_LENGTH, 0, "", "")), ("", (_AT_LEAST, size_bytes, "", _KEEP))]


def _version(link: int, *, is_v4: bool) -> list[tuple[str, _Step]]:
    if link:
        return [
            ("", (_LOAD_HALF, _ETHERTYPE_AT, "", "")),
            ("", (_EQUALS, _IPV4 if is_v4 else _IPV6, "", _KEEP)),
        ]
    return [
        ("", (_LOAD_BYTE, 0, "", "")),
        ("", (_SHIFT_RIGHT, 4, "", "")),
        ("", (_EQUALS, 4 if is_v4 else 6, "", _KEEP)),
    ]


def _ends(
    label: str, source: tuple[int, ...], target: tuple[int, ...], source_at: int, target_at: int, otherwise: str
) -> list[tuple[str, _Step]]:
    """Compare both addresses, word by word; on a difference go to ``otherwise``."""
    steps: list[tuple[str, _Step]] = []
    for words, at in ((source, source_at), (target, target_at)):
        for number, word in enumerate(words):
            steps.append(("" if steps else label, (_LOAD_WORD, at + 4 * number, "", "")))
            steps.append(("", (_EQUALS, word, "", otherwise)))
    return steps


def _ports(source: int, target: int, link: int, *, is_v4: bool) -> list[tuple[str, _Step]]:
    """Compare both ports: to ``drop`` if they are those, else to ``keep``."""
    if is_v4:
        load, at = _LOAD_HALF_AFTER, link
        first: list[tuple[str, _Step]] = [("", (_LOAD_HEADER_LENGTH, link, "", ""))]
    else:
        load, at, first = _LOAD_HALF, link + 40, []
    return [
        *first,
        ("", (load, at, "", "")),
        ("", (_EQUALS, source, "", _KEEP)),
        ("", (load, at + 2, "", "")),
        ("", (_EQUALS, target, _DROP, _KEEP)),
    ]


def _words(address: str) -> tuple[int, ...] | None:
    """An address as 32-bit words; None for what is none."""
    try:
        packed = ipaddress.ip_address(address.partition("%")[0]).packed
    except ValueError:
        return None
    return tuple(int.from_bytes(packed[at : at + 4], "big") for at in range(0, len(packed), 4))
