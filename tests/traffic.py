"""Random traffic of a small site, as the oracle's packet descriptions and as frames."""

from __future__ import annotations

from hypothesis import strategies as st

import frames
from oracles.edge_oracle import Packet

GATEWAY_MAC = 0x02_00_00_00_00_FE
BROADCAST_MAC = 0xFFFF_FFFF_FFFF
DEVICES = {f"10.0.0.{number}": 0x02_00_00_00_00_00 + number for number in range(1, 5)}
REMOTES = ("203.0.113.5", "203.0.113.6", "198.51.100.7", "192.0.2.8")

# Kind -> protocol, server port, payload, hints, DNS id, length of the DNS name; "up" goes to the server.
_NAME = "a-sensor.example.org"
_APPLICATIONS: dict[str, tuple[int, int, bytes, frozenset[str], int, int]] = {
    "dns query": (17, 53, frames.dns(_NAME, 9), frozenset({"dns_query"}), 9, len(_NAME)),
    "dns txt query": (17, 53, frames.dns("x" * 60, 5, kind=16), frozenset({"dns_query", "dns_txt"}), 5, 60),
    "coap request": (17, 5683, b"\x40\x01\x00\x01", frozenset(), 0, 0),
    "mqtt connect": (6, 1883, b"\x10\x10\x00\x04MQTT", frozenset({"mqtt_connect"}), 0, 0),
    "mqtt subscribe": (6, 1883, b"\x82\x05\x00\x01\x00\x00", frozenset({"mqtt_subscribe"}), 0, 0),
    "mqtt broken": (6, 1883, b"\x05\x05", frozenset({"mqtt_malformed"}), 0, 0),
    "modbus write": (6, 502, b"\0\1\0\0\0\6\1\6\0\1", frozenset({"modbus_write"}), 0, 0),
    "tls alert": (6, 443, b"\x15\3\3\0\2\2\x28", frozenset({"tls_alert"}), 0, 0),
    "http": (6, 80, b"GET / HTTP/1.1\r\n", frozenset(), 0, 0),
    "syn to ssh": (6, 22, b"", frozenset(), 0, 0),
    "plain udp": (17, 9999, b"hello", frozenset(), 0, 0),
    "esp": (50, 0, b"xxxxxxxx", frozenset(), 0, 0),
    "echo": (1, 0, b"ping", frozenset(), 0, 0),
    "unreachable": (1, 0, b"gone", frozenset(), 0, 0),
}
_ANSWERS: dict[str, tuple[int, int, bytes, frozenset[str], int, int]] = {
    "dns answer": (17, 53, frames.dns(_NAME, 9, response=True), frozenset({"dns_response"}), 9, 0),
    "dns nxdomain": (
        17,
        53,
        frames.dns(_NAME, 4, response=True, code=3),
        frozenset({"dns_response", "dns_nxdomain"}),
        4,
        0,
    ),
    "mqtt refused": (6, 1883, b"\x20\x02\x00\x05", frozenset({"mqtt_refused"}), 0, 0),
    "coap error": (17, 5683, b"\x60\x84\x00\x01", frozenset({"coap_error"}), 0, 0),
}
_FLAGS = (0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x14, 0x00, 0x29, 0x03)
_STEPS_US = (
    0,
    0,
    0,
    100,
    900,
    1_000,
    1_001,
    50_000,
    800_000,
    4_000_000,
    10_000_000,
    31_000_000,
    700_000_000,
    -300_000,
    -1_000_000,
    -5_000_000,
)


@st.composite
def _ip_packet(draw: st.DrawFn) -> Packet:
    device = draw(st.sampled_from(sorted(DEVICES)))
    other = draw(st.sampled_from([*REMOTES, *DEVICES]))
    up = draw(st.booleans())
    kinds = _APPLICATIONS if up else _APPLICATIONS | _ANSWERS
    kind = draw(st.sampled_from(sorted(kinds)))
    proto, port, payload, hints, dns_id, name_len = kinds[kind]
    ephemeral = draw(st.sampled_from((40_001, 40_002, 51_000)))
    flags = draw(st.sampled_from(_FLAGS)) if proto == 6 else 0
    to_server = up if kind not in _ANSWERS else False
    has_ports = proto in (6, 17)
    src, dst = (device, other) if up else (other, device)
    return Packet(
        ts_us=0,
        src_mac=DEVICES.get(src, GATEWAY_MAC),
        dst_mac=DEVICES.get(dst, GATEWAY_MAC),
        src=src,
        dst=dst,
        proto=proto,
        size=20 + {6: 20, 17: 8, 1: 8}.get(proto, 0) + len(payload),
        sport=(ephemeral if to_server else port) if has_ports else 0,
        dport=(port if to_server else ephemeral) if has_ports else 0,
        flags=flags,
        ttl=draw(st.sampled_from((64, 63, 255, 1))),
        zero_window=proto == 6 and draw(st.booleans()),
        icmp_type=(3 if kind == "unreachable" else 8) if proto == 1 else 0,
        hints=_visible(hints, kind, to_server),
        dns_id=dns_id,
        dns_name_len=name_len,
    ), payload


def _visible(hints: frozenset[str], kind: str, to_server: bool) -> frozenset[str]:
    """A write to Modbus is one only on its way to the server."""
    return hints if kind != "modbus write" or to_server else frozenset()


@st.composite
def _arp_packet(draw: st.DrawFn) -> Packet:
    sender, target = draw(st.permutations(sorted(DEVICES)))[:2]
    op = draw(st.sampled_from((1, 2)))
    claimed = draw(st.sampled_from([DEVICES[sender], DEVICES[sender], 0x02_00_00_00_00_66]))
    return Packet(
        ts_us=0,
        src_mac=claimed,
        dst_mac=BROADCAST_MAC if op == 1 else DEVICES[target],
        src=sender,
        dst=target,
        arp_op=op,
    ), b""


@st.composite
def traffic(draw: st.DrawFn, most: int = 150) -> list[tuple[Packet, bytes]]:
    """(description, frame) of each packet, in capture order."""
    one = st.one_of(_ip_packet(), _ip_packet(), _ip_packet(), _arp_packet())
    now = 1_700_000_000_000_000
    made = []
    for position, (packet, payload) in enumerate(draw(st.lists(one, min_size=1, max_size=most))):
        now += draw(st.sampled_from(_STEPS_US))
        packet.ts_us, packet.position = now, position
        made.append((packet, frame_of(packet, payload)))
    return made


def frame_of(packet: Packet, payload: bytes) -> bytes:
    """The octets of a description."""
    if packet.arp_op:
        body = frames.arp(packet.arp_op, packet.src_mac, packet.src, packet.dst_mac & 0xFFFF_FFFF, packet.dst)
        return frames.ether(body, frames.ARP, packet.src_mac, packet.dst_mac)
    if packet.proto == 6:
        window = 0 if packet.zero_window else 1000
        payload = frames.tcp(payload, packet.sport, packet.dport, packet.flags, window=window)
    elif packet.proto == 17:
        payload = frames.udp(payload, packet.sport, packet.dport)
    elif packet.proto == 1:
        payload = frames.icmp(packet.icmp_type, payload)
    body = frames.ipv4(payload, packet.src, packet.dst, packet.proto, ttl=packet.ttl)
    return frames.ether(body, frames.IPV4, packet.src_mac, packet.dst_mac)
