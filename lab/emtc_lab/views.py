"""The GTP-U view: the modem's traffic as it crosses the S1-U interface, one tunnel per device (3GPP TS 29.281)."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from pathlib import Path

from emtc_lab.sniff import pcap_header
from emtc_lab.verify import ETHERNET, RECORD_HEADER, read_records

_BASE_STATION, _SERVING_GATEWAY = ("100.64.1.7", "02:00:5e:40:01:07"), ("100.64.1.1", "02:00:5e:40:01:01")
_PORT = 2152
_FIRST_UPLINK_TEID, _FIRST_DOWNLINK_TEID = 0x00A10001, 0x00B20001
_OUTER_BYTES = 14 + 20 + 8 + 8
_ECHO_EVERY_US = 60_000_000
_ECHO_REQUEST, _ECHO_RESPONSE, _G_PDU = 1, 2, 255
_IPV4 = struct.Struct(">BBHHHBBH4s4s")


def write_gtpu(raw_ip: Path, out: Path, devices: list[str], snaplen: int) -> int:
    """Wrap the packets of devices; others have no tunnel.

    Args:
        raw_ip: A recording of the modem interface (link type raw IP).
        out: The new recording, Ethernet outside.
        devices: Addresses; the n-th has the n-th tunnel endpoint identifier of each direction.
        snaplen: Captured bytes per packet; outer headers included, so that inner headers keep theirs.

    Returns:
        The number of packets.
    """
    teids = {ipaddress.IPv4Address(ip).packed: number for number, ip in enumerate(devices)}
    packets = 0
    with out.open("wb") as file:
        file.write(pcap_header(snaplen + _OUTER_BYTES, ETHERNET))
        for ts_us, head, data, wire_bytes in _wrapped(raw_ip, teids):
            kept = (head + data)[: snaplen + _OUTER_BYTES]
            file.write(RECORD_HEADER.pack(*divmod(ts_us, 1_000_000), len(kept), len(head) + wire_bytes))
            file.write(kept)
            packets += 1
    return packets


def _wrapped(raw_ip: Path, teids: dict[bytes, int]) -> Iterator[tuple[int, bytes, bytes, int]]:
    """(time, outer headers, inner captured bytes, inner length), with an echo each minute as peers send it."""
    next_echo_us = 0
    for number, record in enumerate(read_records(raw_ip)[1]):
        if record.ts_us >= next_echo_us:
            yield record.ts_us, _outer(_ECHO_REQUEST, 0, 4, up=True, number=number), bytes(4), 4
            yield record.ts_us, _outer(_ECHO_RESPONSE, 0, 6, up=False, number=number), b"\0\0\0\0\x0e\0", 6
            next_echo_us = record.ts_us + _ECHO_EVERY_US
        source, destination = record.data[12:16], record.data[16:20]
        up = source in teids
        if record.data[0] >> 4 == 4 and (up or destination in teids):
            teid = _FIRST_UPLINK_TEID + teids[source] if up else _FIRST_DOWNLINK_TEID + teids[destination]
            head = _outer(_G_PDU, teid, record.wire_bytes, up=up, number=number)
            yield record.ts_us, head, record.data, record.wire_bytes


def _outer(kind: int, teid: int, inner_bytes: int, *, up: bool, number: int) -> bytes:
    sender, receiver = (_BASE_STATION, _SERVING_GATEWAY) if up else (_SERVING_GATEWAY, _BASE_STATION)
    flags = 0x30 if kind == _G_PDU else 0x32  # version 1, GTP; echoes carry a sequence number
    gtp = struct.pack(">BBHI", flags, kind, inner_bytes, teid)
    udp = struct.pack(">4H", _PORT, _PORT, 16 + inner_bytes, 0)
    addresses = [ipaddress.IPv4Address(ip).packed for ip, _ in (sender, receiver)]
    fields = [0x45, 0, 36 + inner_bytes, number & 0xFFFF, 0, 255, 17, 0, *addresses]
    fields[7] = _checksum(_IPV4.pack(*fields))
    macs = b"".join(bytes.fromhex(mac.replace(":", "")) for _, mac in (receiver, sender))
    return macs + b"\x08\x00" + _IPV4.pack(*fields) + udp + gtp


def _checksum(header: bytes) -> int:
    total = sum(struct.unpack(f">{len(header) // 2}H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
