"""What is mutated: packets of every link type and captures of every dialect, all of our own making."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from struct import pack

import capture_files as cf
import frames as f
from emtc_agent.sources import expand, open_capture
from emtc_contract.errors import CaptureError
from golden.site import site

BASE_US = 1_700_000_000_000_000
ETHERNET_BYTES = 14
MOST_PACKETS = 3_000
MOST_FILE_BYTES = 400_000

LINKS: dict[int, Callable[[bytes, int], bytes]] = {
    0: lambda packet, kind: pack("<I", 2 if kind == f.IPV4 else 24) + packet,
    1: f.ether,
    9: lambda packet, kind: b"\xff\x03" + ppp(packet, kind),
    12: lambda packet, kind: packet,
    14: lambda packet, kind: packet,
    50: lambda packet, kind: ppp(packet, kind),
    101: lambda packet, kind: packet,
    104: lambda packet, kind: pack(">HH", 0x0F00, kind) + packet,
    108: lambda packet, kind: pack(">I", 2 if kind == f.IPV4 else 24) + packet,
    113: f.sll,
    147: lambda packet, kind: packet,  # for private use: nobody can know what it is
    219: lambda packet, kind: f.mpls(packet, 2),
    228: lambda packet, kind: packet,
    229: lambda packet, kind: packet,
    276: f.sll2,
}
"""Link type -> frame of a packet and its EtherType."""


def ppp(packet: bytes, kind: int) -> bytes:
    """PPP without framing."""
    return pack(">H", 0x0021 if kind == f.IPV4 else 0x0057) + packet


def _datagrams() -> list[tuple[bytes, int]]:
    """(packet, EtherType): each way of nesting and each application once."""
    extensions = bytes([60, 0]) + bytes(6) + bytes([44, 0]) + bytes(6) + bytes([6, 0, 0, 8]) + bytes(4)
    inner = f.ipv4(f.udp(f.dns("inner.example"), 5000, 53), "10.1.2.3", "203.0.113.9", f.UDP)
    quote = f.ipv4(f.icmp(3, f.ipv4(f.icmp(11, f.ipv4(f.udp(b"deep"), proto=f.UDP)), proto=f.ICMP)), proto=f.ICMP)
    tunnel = f.udp(f.gtpu(inner, 77, extensions=(bytes(2), bytes(6))), f.GTPU, f.GTPU)
    tunnel6 = f.udp(f.gtpu(f.ipv6(f.tcp(b"x", 5, 443)), 78), f.GTPU, f.GTPU)
    tcp = (f.tcp(b"\x16\3\1\0\x99\1", dport=443, options=bytes(12)), f.tcp(b"\0\1\0\0\0\6\1\6\0\1", dport=502))
    tcp += (f.tcp(b"\x10\x10\0\4MQTT", dport=1883), f.tcp(b"\0\x1d" + f.dns("over.tcp"), dport=53), f.tcp(flags=0))
    udp = (f.udp(f.dns("a-name.of.some-length.example", kind=16)), f.udp(f.dns("b.example", response=True), 53, 9))
    udp += (f.udp(b"\x40\1\0\1", dport=5683), f.udp(bytes(40), 67, 68), f.udp(b"", length=0), tunnel, tunnel6)
    made = [f.ipv4(payload, proto=f.TCP) for payload in tcp] + [f.ipv4(payload, proto=f.UDP) for payload in udp]
    made += [quote, f.ipv4(inner, proto=0), f.ipv4(f.icmp(8, b"ping"), proto=f.ICMP), f.ipv4(b"x" * 20, proto=132)]
    made += [f.ipv4(f.tcp(), fragment=0x2000), f.ipv4(b"later", fragment=99), f.ipv4(f.tcp(), options=bytes(8))]
    made += [f.ipv4(f.tcp(), total=0), f.ipv4(b"", proto=2, dst="224.0.0.22"), f.ipv4(f.udp(), "0.0.0.0", proto=17)]
    made6 = [f.ipv6(payload, proto=f.TCP) for payload in tcp] + [f.ipv6(payload, proto=f.UDP) for payload in udp]
    made6 += [f.ipv6(extensions + f.tcp(b"x"), proto=0), f.ipv6(f.icmp(135, bytes(20)), proto=f.ICMPV6)]
    made6 += [f.ipv6(bytes([17, 4]) + bytes(22) + f.udp(), proto=51), f.ipv6(f.tcp(), length=0)]
    return [(packet, f.IPV4) for packet in made] + [(packet, f.IPV6) for packet in made6]


def packets() -> list[tuple[int, bytes]]:
    """(link type, octets) of each packet."""
    datagrams = _datagrams()
    found = [(link, frame(packet, kind)) for link, frame in LINKS.items() for packet, kind in datagrams]
    inner, kind = datagrams[0]
    wrapped = [f.ether(inner, tags=((f.QINQ, 3), (f.VLAN, 4))), f.ether(f.mpls(inner, 3), f.MPLS)]
    wrapped += [f.ether(b"\x11\0\0\1" + pack(">H", len(inner) + 2) + ppp(inner, kind), 0x8864)]
    wrapped += [f.ether(f.arp(op, 2, "10.0.0.1", 4, "10.0.0.2") + bytes(18), f.ARP) for op in (1, 2)]
    wrapped += [f.ether(bytes(40), kind) for kind in (38, 0x88CC, 0x888E)]
    return found + [(1, octets) for octets in wrapped] + [(1, octets) for _, octets in site()[::9]]


def files() -> list[bytes]:
    """Captures."""
    few = [(BASE_US + 1000 * at, octets) for at, (link, octets) in enumerate(packets()) if link == 1][::2]
    long = [(packet.ts_us, octets, len(octets) + 9) for packet, octets in site()]
    raw = [(ts_us, octets[ETHERNET_BYTES:]) for ts_us, octets in few]
    clocks = (cf.Interface(tsresol=9), cf.Interface(tsresol=0x80 | 20, tsoffset_s=1000), cf.Interface(snaplen=60))
    links = tuple(cf.Interface(linktype=kind) for kind in LINKS)
    mixed = [(BASE_US + at, octets) for at, (_, octets) in enumerate(packets()[::7])]
    numbers = [list(LINKS).index(kind) for kind, _ in packets()[::7]]
    simple = b"".join(map(cf.simple_block, few[:20])) + b"".join(map(cf.old_packet_block, few[:20]))
    start = cf.section_block() + cf.interface_block(cf.Interface())
    remark = cf.block(5, bytes(64)) + cf.block(0x0BAD, b"unknown")
    plain = [
        cf.pcap_bytes(few, byte_order=order, magic=magic) for order in "<>" for magic in (0xA1B2C3D4, 0xA1B23C4D)
    ]
    plain += [cf.pcap_bytes(raw, linktype=101), cf.pcap_bytes([]), cf.pcap_bytes(few[:3] * 40)]
    plain += [cf.pcapng_bytes(few, interfaces=clocks, byte_order=order) for order in "<>"]
    plain += [cf.pcapng_bytes(mixed, interfaces=links, interface_of=numbers), start + simple + remark + simple]
    plain += [cf.pcapng_bytes(few[:9]) + cf.pcapng_bytes(few[9:30], byte_order=">") + cf.pcapng_bytes([])]
    plain += [b"".join(cf.pcapng_bytes([packet]) for packet in few[:30])]
    return [*plain, cf.pcap_bytes(long * 2), *(gzip.compress(one) for one in plain[4::3])]


def read_folder(folder: Path) -> tuple[list[tuple[int, bytes]], list[bytes]]:
    """Packets and beginnings of the captures below a folder; what is none is left out."""
    found: list[tuple[int, bytes]] = []
    contents: list[bytes] = []
    for name in expand([folder]):
        with Path(name).open("rb") as file:
            contents.append(file.read(MOST_FILE_BYTES))
        try:
            with open_capture(name, batch_packets=200) as reader:
                batch = next(iter(reader), None)
        except CaptureError:
            continue
        if batch is not None and len(found) < MOST_PACKETS:
            columns = (batch.linktype.tolist(), batch.start.tolist(), batch.cap_len.tolist())
            found += [(kind, batch.data[at : at + size].tobytes()) for kind, at, size in zip(*columns, strict=True)]
    return found, contents
