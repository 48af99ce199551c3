"""What mutation starts from: sound packets of every link type, and captures in every dialect."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from functools import cache
from itertools import islice

import capture_files as cf
import frames as f
from golden.site import site

START_US = 1_700_000_000_000_000
ETHERNET, RAW, SLL, SLL2, NULL, PPP, PPP_HDLC = 1, 101, 113, 276, 0, 9, 50

Frame = tuple[int, bytes]
"""Link type and octets."""


def _datagrams() -> list[bytes]:
    """IPv4 and IPv6 packets of every kind that is decoded further."""
    hop_by_hop, fragment = bytes([6, 0]) + bytes(6), bytes([17, 0, 0, 9, 0, 0, 0, 1])
    inner = [f.ipv4(f.tcp(b"hello", dport=1883)), f.ipv6(f.udp(b"hello"), proto=f.UDP)]
    tunnels = [
        f.ipv4(f.udp(f.gtpu(one, extensions=more), f.GTPU, f.GTPU), proto=f.UDP)
        for one in inner
        for more in ((), (bytes(2),), (bytes(6), bytes(2)))
    ]
    nested = f.ipv4(f.icmp(3, f.ipv4(f.icmp(11, f.ipv4(f.udp(), proto=f.UDP)), proto=f.ICMP)), proto=f.ICMP)
    applications = [
        f.ipv4(f.udp(f.dns("a-sensor.example.org", kind=16)), proto=f.UDP),
        f.ipv4(f.udp(f.dns("a.b", response=True, code=3), 53, 40_000), proto=f.UDP),
        f.ipv4(f.tcp(bytes(2) + f.dns("over.tcp"), dport=53)),
        f.ipv4(f.tcp(b"\x10\x10\x00\x04MQTT", dport=1883)),
        f.ipv4(f.udp(b"\x40\x01\x00\x01", dport=5683), proto=f.UDP),
        f.ipv4(f.tcp(b"\0\1\0\0\0\6\1\6\0\1", dport=502)),
        f.ipv4(f.tcp(b"\x16\3\1\0\x05\1\0\0\1\0", dport=443)),
    ]
    odd = [
        f.ipv4(f.tcp(options=bytes(8)), options=bytes(12)),
        f.ipv4(b"second part", proto=f.UDP, fragment=0x00B9),
        f.ipv4(f.tcp(b"offload"), total=0),
        f.ipv4(b"whatever it is", proto=50),
        f.ipv6(hop_by_hop + f.tcp(), proto=0),
        f.ipv6(fragment + f.udp(), proto=44),
        f.ipv6(f.icmp(128), proto=f.ICMPV6),
    ]
    return [*inner, *tunnels, nested, *applications, *odd]


@cache
def packets() -> list[Frame]:
    """Packets of every link type."""
    datagrams = _datagrams()

    def ether_type(datagram: bytes) -> int:
        return f.IPV4 if datagram[0] >> 4 == 4 else f.IPV6

    under: dict[int, Callable[[bytes], bytes]] = {
        ETHERNET: lambda one: f.ether(one, ether_type(one)),
        RAW: bytes,
        SLL: lambda one: f.sll(one, ether_type(one)),
        SLL2: lambda one: f.sll2(one, ether_type(one)),
        NULL: lambda one: b"\x02\0\0\0" + one,
        PPP: lambda one: (b"\0\x21" if one[0] >> 4 == 4 else b"\0\x57") + one,
        PPP_HDLC: lambda one: b"\xff\x03" + (b"\0\x21" if one[0] >> 4 == 4 else b"\0\x57") + one,
    }
    made = [(linktype, link(one)) for linktype, link in under.items() for one in datagrams]
    tags = ((f.QINQ, 7), (f.VLAN, 5))
    made += [(ETHERNET, f.ether(one, ether_type(one), tags=tags)) for one in datagrams]
    made += [(ETHERNET, f.ether(b"\x11\0\0\1\0\x40\0\x21" + datagrams[0], 0x8864))]
    made += [(ETHERNET, f.ether(f.arp(op, 2, "10.0.0.1", 4, "10.0.0.2"), f.ARP)) for op in (1, 2)]
    return made


def _odd_pcapng(found: Sequence[tuple[int, bytes]]) -> bytes:
    """Every packet block there is, other blocks between them, and clocks of several kinds."""
    clocks = (cf.Interface(), cf.Interface(RAW, 64, 9), cf.Interface(SLL, 0, 0x80 | 24, 1_000))
    parts = [cf.section_block(), *map(cf.interface_block, clocks)]
    for number, one in enumerate(found):
        which = number % 5
        if which < len(clocks):
            parts.append(cf.enhanced_block(one, which, clocks[which]))
        elif which == len(clocks):
            parts += [cf.simple_block(one), cf.block(0x0BAD, b"not a packet")]
        else:
            parts.append(cf.old_packet_block(one))
    return b"".join(parts)


@cache
def captures() -> list[bytes]:
    """Captures in every dialect, from 300 bytes to half a megabyte (where the fast path through records begins)."""
    few = [(packet.ts_us, octets) for packet, octets in islice(site(), 60)]
    many = [(START_US + 1_000 * number, octets) for number, octets in enumerate([few[4][1] * 6, few[7][1] * 9] * 700)]
    made = [
        cf.pcap_bytes(few[:3]),
        cf.pcap_bytes(few),
        cf.pcap_bytes(few, byte_order=">", magic=cf.NANOSECONDS),
        cf.pcap_bytes([(ts_us, octets[14:]) for ts_us, octets in few], linktype=RAW),
        cf.pcapng_bytes(few),
        cf.pcapng_bytes(few, byte_order=">") + _odd_pcapng(few),
        cf.pcap_bytes(many),
    ]
    return [*made, gzip.compress(made[1]), gzip.compress(made[0]) + gzip.compress(made[1][24:])]
