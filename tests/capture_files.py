"""Small writers of capture files for tests: ``write_pcap`` and ``write_pcapng``.

A packet is ``(ts_us, octets)`` or ``(ts_us, octets, wire_len)``. The ``pcap_...`` and ``..._block`` functions
give the bytes, for tests that break them on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import pack
from typing import TypeAlias

Packet: TypeAlias = tuple[int, bytes] | tuple[int, bytes, int]

MICROSECONDS, NANOSECONDS, KUZNETZOV = 0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34
BYTE_ORDER_MAGIC = 0x1A2B3C4D
SECTION_BLOCK, INTERFACE_BLOCK, OLD_PACKET_BLOCK, SIMPLE_BLOCK, ENHANCED_BLOCK = 0x0A0D0D0A, 1, 2, 3, 6


@dataclass(frozen=True)
class Interface:
    """One interface of a pcapng section.

    ``tsresol`` is the raw if_tsresol octet (6 = microseconds, 9 = nanoseconds, 0x80 | n = 2^-n s), None leaves
    the option out; ``tsoffset_s`` likewise.
    """

    linktype: int = 1
    snaplen: int = 262_144
    tsresol: int | None = None
    tsoffset_s: int | None = None

    def units(self, ts_us: int) -> int:
        """``ts_us`` in this interface's clock, rounded up so that cutting gives ``ts_us`` back."""
        ts_us -= (self.tsoffset_s or 0) * 1_000_000
        tsresol = 6 if self.tsresol is None else self.tsresol
        per_second = 1 << (tsresol & 0x7F) if tsresol & 0x80 else 10**tsresol
        return -(-ts_us * per_second // 1_000_000)


def wire_len(packet: Packet) -> int:
    """Bytes on the wire: the third field if there is one."""
    return packet[2] if len(packet) == 3 else len(packet[1])


def pcap_header(
    *, linktype: int = 1, byte_order: str = "<", magic: int = MICROSECONDS, snaplen: int = 262_144
) -> bytes:
    """The 24 bytes in front of a pcap."""
    return pack(f"{byte_order}IHHiIII", magic, 2, 4, 0, 0, snaplen, linktype)


def pcap_record(packet: Packet, *, byte_order: str = "<", magic: int = MICROSECONDS) -> bytes:
    """One record: header and octets."""
    seconds, fraction = divmod(packet[0], 1_000_000)
    fraction *= 1000 if magic == NANOSECONDS else 1
    header = pack(f"{byte_order}4I", seconds, fraction, len(packet[1]), wire_len(packet))
    extra = bytes(8) if magic == KUZNETZOV else b""  # interface index, protocol, packet type, padding
    return header + extra + packet[1]


def pcap_bytes(
    packets: Iterable[Packet],
    *,
    linktype: int = 1,
    byte_order: str = "<",
    magic: int = MICROSECONDS,
    snaplen: int = 262_144,
) -> bytes:
    """A whole pcap."""
    header = pcap_header(linktype=linktype, byte_order=byte_order, magic=magic, snaplen=snaplen)
    return header + b"".join(pcap_record(packet, byte_order=byte_order, magic=magic) for packet in packets)


def write_pcap(
    path: Path,
    packets: Iterable[Packet],
    *,
    linktype: int = 1,
    byte_order: str = "<",
    nanoseconds: bool = False,
    snaplen: int = 262_144,
) -> Path:
    """Write a pcap; returns ``path``."""
    magic = NANOSECONDS if nanoseconds else MICROSECONDS
    path.write_bytes(pcap_bytes(packets, linktype=linktype, byte_order=byte_order, magic=magic, snaplen=snaplen))
    return path


def option(code: int, value: bytes, *, byte_order: str = "<") -> bytes:
    """One pcapng option, padded to four bytes."""
    return pack(f"{byte_order}HH", code, len(value)) + value + bytes(-len(value) % 4)


def block(kind: int, body: bytes, *, byte_order: str = "<") -> bytes:
    """One pcapng block, padded to four bytes."""
    body += bytes(-len(body) % 4)
    size = pack(f"{byte_order}I", len(body) + 12)
    return pack(f"{byte_order}I", kind) + size + body + size


def section_block(*, byte_order: str = "<") -> bytes:
    """Section header of unknown section length."""
    return block(SECTION_BLOCK, pack(f"{byte_order}IHHq", BYTE_ORDER_MAGIC, 1, 0, -1), byte_order=byte_order)


def interface_block(interface: Interface, *, byte_order: str = "<") -> bytes:
    """Interface description with its clock options."""
    body = pack(f"{byte_order}HHI", interface.linktype, 0, interface.snaplen)
    body += option(2, b"eth0", byte_order=byte_order)
    if interface.tsresol is not None:
        body += option(9, bytes([interface.tsresol]), byte_order=byte_order)
    if interface.tsoffset_s is not None:
        body += option(14, pack(f"{byte_order}q", interface.tsoffset_s), byte_order=byte_order)
    return block(INTERFACE_BLOCK, body + option(0, b"", byte_order=byte_order), byte_order=byte_order)


def enhanced_block(
    packet: Packet,
    number: int = 0,
    interface: Interface | None = None,
    *,
    byte_order: str = "<",
    options: bytes = b"",
) -> bytes:
    """Enhanced packet block of interface ``number``."""
    units = (interface or Interface()).units(packet[0])
    octets = packet[1]
    fields = pack(f"{byte_order}5I", number, units >> 32, units & 0xFFFF_FFFF, len(octets), wire_len(packet))
    padded = octets + bytes(-len(octets) % 4)
    return block(ENHANCED_BLOCK, fields + padded + options, byte_order=byte_order)


def old_packet_block(
    packet: Packet, number: int = 0, interface: Interface | None = None, *, byte_order: str = "<"
) -> bytes:
    """Obsolete packet block, with a drops count of 7."""
    units = (interface or Interface()).units(packet[0])
    octets = packet[1]
    fields = pack(f"{byte_order}HH4I", number, 7, units >> 32, units & 0xFFFF_FFFF, len(octets), wire_len(packet))
    return block(OLD_PACKET_BLOCK, fields + octets, byte_order=byte_order)


def simple_block(packet: Packet, *, byte_order: str = "<") -> bytes:
    """Simple packet block: no time, always interface 0."""
    return block(SIMPLE_BLOCK, pack(f"{byte_order}I", wire_len(packet)) + packet[1], byte_order=byte_order)


def pcapng_bytes(
    packets: Iterable[Packet],
    *,
    interfaces: Sequence[Interface] = (Interface(),),
    interface_of: Iterable[int] | None = None,
    byte_order: str = "<",
) -> bytes:
    """One pcapng section: header, interfaces, one enhanced block per packet.

    Args:
        packets: Packets in stream order.
        interfaces: Interfaces of the section.
        interface_of: Interface number of each packet; default: round robin over ``interfaces``.
        byte_order: ``"<"`` or ``">"``.
    """
    parts = [section_block(byte_order=byte_order)]
    parts += [interface_block(one, byte_order=byte_order) for one in interfaces]
    numbers = iter(interface_of) if interface_of is not None else None
    for index, packet in enumerate(packets):
        number = index % len(interfaces) if numbers is None else next(numbers)
        parts.append(enhanced_block(packet, number, interfaces[number], byte_order=byte_order))
    return b"".join(parts)


def write_pcapng(
    path: Path,
    packets: Iterable[Packet],
    *,
    interfaces: Sequence[Interface] = (Interface(),),
    interface_of: Iterable[int] | None = None,
    byte_order: str = "<",
) -> Path:
    """Write a pcapng of one section; returns ``path``."""
    path.write_bytes(pcapng_bytes(packets, interfaces=interfaces, interface_of=interface_of, byte_order=byte_order))
    return path
