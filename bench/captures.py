"""Captures for benchmarks, made by numpy: a million packets in seconds.

Three kinds: ``iot`` is the traffic of 500 devices with 60 servers in small flows, as a gateway of sensors sees it;
``flood`` is a SYN flood from random senders at one device; ``mix`` is 60 % iot and 40 % flood. Checksums are zero, as
in captures made where the network card fills them in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from struct import pack

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

START_S = 1_700_000_000
DEVICES, SERVERS, VICTIM = 500, 60, 5
PACKETS_PER_FLOW = 34
SPAN_S, FLOOD_FROM_S, FLOOD_TO_S = 600.0, 290.0, 330.0
PORTS = (1883, 8883, 443, 80, 5683, 53, 123, 502, 23, 22)
TCP, UDP, ICMP = 6, 17, 1
SYN, SYN_ACK, ACK, PSH_ACK, FIN_ACK = 0x02, 0x12, 0x10, 0x18, 0x11
_BLOCK = 65_536
_MIN_FRAME = 60
_DEVICE_NETWORK, _SERVER_NETWORK = 0x0A000000, 0xC6336400

Fields = list[tuple[str, str]]
_RECORD: Fields = [("seconds", "<u4"), ("micros", "<u4"), ("caught", "<u4"), ("length", "<u4")]
_ETHER: Fields = [("to_oui", ">u2"), ("to", ">u4"), ("from_oui", ">u2"), ("from", ">u4"), ("type", ">u2")]
_VLAN: Fields = [("vlan_tag", ">u2"), ("vlan_type", ">u2")]
_IPV4: Fields = [
    *(
        ("version", ">u2"),
        ("ip_length", ">u2"),
        ("id", ">u2"),
        ("fragment", ">u2"),
        ("ttl", "u1"),
        ("protocol", "u1"),
    ),
    *(("ip_checksum", ">u2"), ("src", ">u4"), ("dst", ">u4")),
]
_IPV6: Fields = [
    *(("version", ">u4"), ("ip_length", ">u2"), ("protocol", "u1"), ("ttl", "u1")),
    *(("src_prefix", ">u4"), ("src_middle", ">u8"), ("src", ">u4")),
    *(("dst_prefix", ">u4"), ("dst_middle", ">u8"), ("dst", ">u4")),
]
_TRANSPORT: dict[int, Fields] = {
    TCP: [
        *(("sport", ">u2"), ("dport", ">u2"), ("seq", ">u4"), ("ack", ">u4"), ("offset", "u1"), ("flags", "u1")),
        *(("tcp_window", ">u2"), ("tcp_checksum", ">u2"), ("urgent", ">u2")),
    ],
    UDP: [("sport", ">u2"), ("dport", ">u2"), ("udp_length", ">u2"), ("udp_checksum", ">u2")],
    ICMP: [("icmp_type", ">u2"), ("icmp_checksum", ">u2"), ("echo", ">u4")],
}


@dataclass(frozen=True)
class Packets:
    """Columns of packets, each (N,); addresses as IPv4, ``payload`` in bytes, ``time_s`` from the start."""

    time_s: npt.NDArray[np.float64]
    src: Ints
    dst: Ints
    sport: Ints
    dport: Ints
    protocol: Ints
    flags: Ints
    payload: Ints
    is_v6: Ints
    is_tagged: Ints

    def __len__(self) -> int:
        return len(self.src)

    def take(self, index: Ints) -> Packets:
        """Rows by index."""
        return Packets(*(getattr(self, column.name)[index] for column in fields(self)))


def iot(count: int, seed: int = 1) -> Packets:
    """Small flows of devices: 65 % TCP, 33 % UDP, 2 % ICMP; 3 % over IPv6, 5 % VLAN-tagged."""
    rng = np.random.default_rng(seed)
    size = _flow_sizes(count, rng)
    flow = np.repeat(np.arange(len(size)), size)
    first = np.cumsum(size) - size
    position = np.arange(count) - first[flow]
    left = size[flow] - 1 - position
    gap = np.where(position > 0, rng.lognormal(-2.0, 1.5, count), 0.0)
    since_start = np.cumsum(gap)
    time_s = since_start - since_start[first][flow] + rng.uniform(0, SPAN_S, len(size))[flow]
    protocol = rng.choice((TCP, UDP, ICMP), len(size), p=(0.65, 0.33, 0.02))[flow]
    device = _DEVICE_NETWORK + rng.integers(0, DEVICES, len(size))[flow]
    server = _SERVER_NETWORK + rng.integers(0, SERVERS, len(size))[flow]
    high, low = rng.integers(32_768, 61_000, len(size))[flow], rng.choice(PORTS, len(size))[flow]
    is_reply = ((rng.random(count) < 0.45) & (position > 2)) | (position == 1)
    flags, payload = _contents(protocol, position, left, rng)
    return Packets(
        time_s,
        np.where(is_reply, server, device),
        np.where(is_reply, device, server),
        np.where(is_reply, low, high),
        np.where(is_reply, high, low),
        protocol,
        flags,
        payload,
        (rng.random(len(size)) < 0.03)[flow].astype(np.int64),
        (rng.random(len(size)) < 0.05)[flow].astype(np.int64),
    )


def _flow_sizes(count: int, rng: np.random.Generator) -> Ints:
    """Geometric sizes that sum to ``count``."""
    size = rng.geometric(1 / PACKETS_PER_FLOW, max(1, count // PACKETS_PER_FLOW))
    ends = np.minimum(np.cumsum(size), count)
    ends[-1] = count
    size = np.diff(ends, prepend=0)
    return size[size > 0]


def _contents(protocol: Ints, position: Ints, left: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """TCP flags and payload sizes: empty, small or nearly full segments; handshakes and ends carry none."""
    count = len(protocol)
    kind = rng.choice(3, count, p=(0.35, 0.55, 0.10))
    payload = np.select([kind == 0, kind == 1], [0, rng.integers(8, 220, count)], rng.integers(1_000, 1_401, count))
    is_bare = (protocol == TCP) & ((position < 3) | (left < 2))
    payload = np.select(
        [protocol == UDP, protocol == ICMP, is_bare], [rng.integers(20, 300, count), 56, 0], default=payload
    )
    conditions = [(left < 2) & (position > 2), position == 0, position == 1, payload > 0]
    return np.select(conditions, [FIN_ACK, SYN, SYN_ACK, PSH_ACK], default=ACK), payload


def flood(count: int, seed: int = 3) -> Packets:
    """SYN packets from random senders to port 80 of one device."""
    rng = np.random.default_rng(seed)
    none = np.zeros(count, np.int64)
    return Packets(
        time_s=rng.uniform(FLOOD_FROM_S, FLOOD_TO_S, count),
        src=rng.integers(0x0B000000, 0xDF000000, count),
        dst=none + _DEVICE_NETWORK + VICTIM,
        sport=rng.integers(1_024, 65_535, count),
        dport=none + 80,
        protocol=none + TCP,
        flags=none + SYN,
        payload=none,
        is_v6=none,
        is_tagged=none,
    )


def mix(count: int, seed: int = 2) -> Packets:
    """60 % iot, and a flood in the middle of it."""
    flooding = count * 4 // 10
    parts = iot(count - flooding, seed), flood(flooding, seed)
    return Packets(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Packets)))


KINDS: dict[str, Callable[[int], Packets]] = {"iot": iot, "mix": mix, "flood": flood}


def write(path: Path, packets: Packets, seed: int = 9) -> None:
    """The packets as a pcap of Ethernet frames in order of time, with random payload."""
    rng = np.random.default_rng(seed)
    order = np.argsort(packets.time_s, kind="stable")
    with path.open("wb") as file:
        file.write(pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1))
        for begin in range(0, len(packets), _BLOCK):
            file.write(_records(packets.take(order[begin : begin + _BLOCK]), rng).tobytes())


def _records(packets: Packets, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Records of a block, one layout of headers at a time."""
    transport = np.select([packets.protocol == TCP, packets.protocol == UDP], [20, 8], 8)
    ip_length = np.where(packets.is_v6 > 0, 40, 20) + transport + packets.payload
    length = np.maximum(_MIN_FRAME, 14 + 4 * packets.is_tagged + ip_length)
    start = np.cumsum(length + 16) - length - 16
    out = rng.integers(0, 256, int((length + 16).sum()), np.uint8)
    layout = packets.protocol << 2 | packets.is_v6 << 1 | packets.is_tagged
    for one in np.unique(layout):
        rows = np.flatnonzero(layout == one)
        headers = _headers(packets.take(rows), ip_length[rows], length[rows])
        out[start[rows, None] + np.arange(headers.shape[1])] = headers
    return out


def _headers(packets: Packets, ip_length: Ints, length: Ints) -> npt.NDArray[np.uint8]:
    """(N, bytes) record, link, network and transport headers of packets of one layout."""
    is_v6, is_tagged, protocol = bool(packets.is_v6[0]), bool(packets.is_tagged[0]), int(packets.protocol[0])
    layout = _RECORD + _ETHER + _VLAN * is_tagged + (_IPV6 if is_v6 else _IPV4) + _TRANSPORT[protocol]
    rows = np.zeros(len(packets), np.dtype(layout))
    micros = (packets.time_s * 1e6).astype(np.int64)
    ethertype = 0x86DD if is_v6 else 0x0800
    values = {
        "seconds": START_S + micros // 1_000_000,
        "micros": micros % 1_000_000,
        "caught": length,
        "length": length,
        "to_oui": 0x0200,
        "to": packets.dst,
        "from_oui": 0x0200,
        "from": packets.src,
        "type": 0x8100 if is_tagged else ethertype,
        "vlan_tag": 100,
        "vlan_type": ethertype,
        "version": 0x60000000 if is_v6 else 0x4500,
        "ip_length": ip_length - 40 * is_v6,
        "ttl": 64,
        "protocol": 58 if is_v6 and protocol == ICMP else protocol,
        "src": packets.src,
        "dst": packets.dst,
        "src_prefix": 0xFD000000,
        "dst_prefix": 0xFD000000,
        "sport": packets.sport,
        "dport": packets.dport,
        "offset": 0x50,
        "flags": packets.flags,
        "tcp_window": 64_240,
        "udp_length": 8 + packets.payload,
        "icmp_type": 0x8000 if is_v6 else 0x0800,
    }
    for name in rows.dtype.names or ():
        if name in values:
            rows[name] = values[name]
    return rows.view(np.uint8).reshape(len(packets), -1)
