"""A made-up site whose rows are kept as golden figures: the same packets, octet for octet, on every machine.

Four devices behave for five minutes; then one scans another, forged senders flood the third, a liar answers for
the gateway, and the clock of the recorder slips.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, replace

import frames
from oracles.edge_oracle import Packet
from traffic import GATEWAY_MAC, frame_of

START_US = 1_700_000_000_000_000
SENSOR, METER, CAMERA, DESK = "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"
MACS = {host: 0x02_00_00_00_00_00 + number for number, host in enumerate((SENSOR, METER, CAMERA, DESK), 1)}
BROKER, COAP_SERVER, VIEWER, RESOLVER, WEB = (f"203.0.113.{number}" for number in range(5, 10))
LIAR_MAC = 0x02_00_00_00_00_66
BROADCAST_MAC = 0xFFFF_FFFF_FFFF
UDP, TCP, ICMP = 17, 6, 1
SYN, SYN_ACK, ACK, PSH_ACK, FIN_ACK, RST_ACK = 0x02, 0x12, 0x10, 0x18, 0x11, 0x14
HEADER = {TCP: 40, UDP: 28, ICMP: 28}


@dataclass(frozen=True)
class Flow:
    """The two ends of a conversation."""

    client: str
    server: str
    proto: int
    sport: int
    dport: int

    def up(self, at_s: float, payload: bytes = b"", **more):
        """(description, payload) of a packet to the server."""
        return _packet(at_s, self, self.client, self.server, self.sport, self.dport, payload, more)

    def down(self, at_s: float, payload: bytes = b"", **more):
        """(description, payload) of a packet from the server."""
        return _packet(at_s, self, self.server, self.client, self.dport, self.sport, payload, more)


def _packet(at_s, flow, src, dst, sport, dport, payload, more):
    described = Packet(
        ts_us=START_US + round(at_s * 1e6),
        src_mac=MACS.get(src, GATEWAY_MAC),
        dst_mac=MACS.get(dst, GATEWAY_MAC),
        src=src,
        dst=dst,
        proto=flow.proto,
        size=HEADER[flow.proto] + len(payload),
        sport=sport,
        dport=dport,
        ttl=64 if src in MACS else 52,
    )
    return replace(described, **more), payload


def session(flow: Flow, at_s: float, up: bytes, down: bytes, up_hint: str = "", down_hint: str = ""):
    """A whole TCP connection: handshake, one request, one answer, close."""
    hints = [frozenset({hint} if hint else ()) for hint in (up_hint, down_hint)]
    yield flow.up(at_s, flags=SYN)
    yield flow.down(at_s + 0.08, flags=SYN_ACK)
    yield flow.up(at_s + 0.0804, flags=ACK)
    yield flow.up(at_s + 0.081, up, flags=PSH_ACK, hints=hints[0])
    yield flow.down(at_s + 0.17, down, flags=PSH_ACK, hints=hints[1])
    yield flow.up(at_s + 0.2, flags=FIN_ACK)
    yield flow.down(at_s + 0.28, flags=FIN_ACK)


def sensor() -> Iterator:
    """MQTT: connects, subscribes, publishes every 20 s on one connection."""
    flow = Flow(SENSOR, BROKER, TCP, 40_001, 1883)
    yield from session(flow, 1.0, b"\x10\x10\x00\x04MQTT", b"\x20\x02\x00\x00", "mqtt_connect")
    yield flow.up(2.0, b"\x82\x05\x00\x01\x00\x00", flags=PSH_ACK, hints=frozenset({"mqtt_subscribe"}))
    for number in range(16):
        reading = b"\x30\x0e\x00\x08site/tmp" + f"{20 + number % 3}.{number % 10}".encode()
        yield flow.up(3 + 20 * number, reading, flags=PSH_ACK, hints=frozenset({"mqtt_publish"}))
        yield flow.down(3.09 + 20 * number, flags=ACK)


def meter() -> Iterator:
    """CoAP every 7 s, sometimes with an error as the answer."""
    flow = Flow(METER, COAP_SERVER, UDP, 51_000, 5683)
    for number in range(45):
        at_s = 0.5 + 7.013 * number
        wrong = number % 9 == 8
        yield flow.up(at_s, b"\x40\x02" + number.to_bytes(2, "big") + bytes(number % 5))
        answer = bytes([0x60, 0x84 if wrong else 0x44]) + number.to_bytes(2, "big")
        yield flow.down(at_s + 0.11, answer, hints=frozenset({"coap_error"} if wrong else ()))


def camera() -> Iterator:
    """Six seconds of a stream, twice."""
    flow = Flow(CAMERA, VIEWER, UDP, 40_002, 9_999)
    for begin_s in (10.0, 250.0):
        for number in range(120):
            yield flow.up(begin_s + 0.05 * number, bytes(200 + 37 * number % 900))


def desk() -> Iterator:
    """Looks up names and asks web servers; one name does not exist."""
    for number in range(20):
        at_s, name = 5 + 15.5 * number, f"host{number % 4}.example.org"
        missing = number % 7 == 6
        ask = Flow(DESK, RESOLVER, UDP, 40_100 + number, 53)
        yield ask.up(
            at_s,
            frames.dns(name, 100 + number),
            hints=frozenset({"dns_query"}),
            dns_id=100 + number,
            dns_name_len=len(name),
        )
        yield ask.down(
            at_s + 0.03,
            frames.dns(name, 100 + number, response=True, code=3 if missing else 0),
            hints=frozenset({"dns_response", "dns_nxdomain"} if missing else {"dns_response"}),
            dns_id=100 + number,
        )
        if not missing:
            web = Flow(DESK, WEB, TCP, 41_000 + number, 80)
            yield from session(web, at_s + 0.05, b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n" + bytes(300))


def scan() -> Iterator:
    """The camera tries a hundred ports of the meter; all are closed."""
    for number in range(100):
        probe = Flow(CAMERA, METER, TCP, 52_000, 20 + number)
        yield probe.up(300 + 0.01 * number, flags=SYN)
        yield probe.down(300.0003 + 0.01 * number, flags=RST_ACK, ttl=64)


def flood() -> Iterator:
    """Three hundred packets of forty forged senders, 2 ms apart, against the desk; some are echo requests."""
    for number in range(300):
        sender = str(ipaddress.ip_address(int(ipaddress.ip_address("198.51.100.0")) + 7 * number % 40))
        flow = Flow(sender, DESK, ICMP if number % 10 == 9 else TCP, 1_024 + number, 80)
        if flow.proto == ICMP:
            flow = replace(flow, sport=0, dport=0)
        kind = {"icmp_type": 8} if flow.proto == ICMP else {"flags": SYN, "zero_window": number % 2 == 0}
        yield flow.up(310 + 0.002 * number, ttl=40 + number % 20, **kind)


def lies() -> Iterator:
    """ARP: the meter asks for the gateway, a liar tells the sensor it is the gateway."""
    gateway = "10.0.0.254"
    for number in range(4):
        ask = Packet(START_US + 320_000_000 + number, MACS[METER], BROADCAST_MAC, METER, gateway, arp_op=1)
        yield ask, b""
    for number in range(12):
        mac = LIAR_MAC if number % 3 else GATEWAY_MAC
        tell = Packet(START_US + 321_000_000 + number * 50_000, mac, MACS[SENSOR], gateway, SENSOR, arp_op=2)
        yield tell, b""


def slips() -> Iterator:
    """The recorder's clock falls back by five seconds and leaps ahead by two hours."""
    flow = Flow(METER, COAP_SERVER, UDP, 51_000, 5683)
    for at_s in (330.0, 325.0, 325.2, 7_530.0, 7_530.1):
        yield flow.up(at_s, b"\x40\x01\x00\x01")


def site() -> list[tuple[Packet, bytes]]:
    """(description, Ethernet frame) of each packet, in capture order."""
    orderly = [*sensor(), *meter(), *camera(), *desk(), *scan(), *flood(), *lies()]
    orderly.sort(key=lambda made: made[0].ts_us)
    packets = [*orderly, *slips()]
    for position, (packet, _) in enumerate(packets):
        packet.position = position
    return [(packet, frame_of(packet, payload)) for packet, payload in packets]
