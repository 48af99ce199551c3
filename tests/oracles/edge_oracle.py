"""``edge-v1`` packet by packet: slow, plain, written from the schema's sentences, to judge the fast extractor.

It works on descriptions of packets (not on bytes), uses dictionaries and lists, and knows no batches. It has no
table limits, so it is compared only where none is reached.
"""

import ipaddress
import itertools
import math
from collections import Counter
from dataclasses import dataclass, field

from emtc_agent.windows.networks import PRIVATE
from emtc_agent.windows.services import PORTS
from emtc_contract.edge_v1 import EDGE_V1, SERVICES

WINDOW_PACKETS = 32
WINDOW_US = 10_000_000
BACK_US = 1_000_000
AHEAD_US = 3_600_000_000
NOVELTY_AFTER_US = 120_000_000
NETWORKS = [ipaddress.ip_network(text) for text in PRIVATE]


@dataclass
class Packet:
    """One IPv4 or ARP packet on an Ethernet."""

    ts_us: int
    src_mac: int
    dst_mac: int
    src: str
    dst: str
    proto: int = 0  # IP protocol; 0 with arp_op for ARP
    size: int = 28
    sport: int = 0
    dport: int = 0
    flags: int = 0
    ttl: int = 0
    zero_window: bool = False
    icmp_type: int = 0
    arp_op: int = 0
    hints: frozenset = frozenset()
    dns_id: int = 0
    dns_name_len: int = 0


def is_device(text):
    return any(ipaddress.ip_address(text) in network for network in NETWORKS)


def is_unicast(text):
    address = ipaddress.ip_address(text)
    return not (int(address) == 0 or int(address) >= 0xE0000000)


def sides(packet):
    """(identity, sent) of each endpoint of a packet."""
    to_group = bool(packet.dst_mac >> 40 & 1)
    if packet.arp_op:
        return [(("mac", packet.src_mac), True)] + ([] if to_group else [(("mac", packet.dst_mac), False)])
    reachable = is_unicast(packet.dst) and not to_group
    found = []
    if is_device(packet.src) or packet.src == "0.0.0.0":
        found.append((("mac", packet.src_mac), True))
    if is_device(packet.dst) and reachable:
        found.append((("mac", packet.dst_mac), False))
    if not found:
        found.append((("ip", packet.dst), False) if reachable else (("ip", packet.src), True))
    return found


def service_port(packet):
    low, high = sorted((packet.sport, packet.dport))
    known = {port for ports in PORTS.values() for port in ports}
    return high if low not in known and high in known else low


def service_name(packet):
    port = service_port(packet)
    return next((name for name in SERVICES if port in PORTS[name]), None)


@dataclass
class Endpoint:
    first_us: int
    window: list = field(default_factory=list)
    last_us: int | None = None
    quiet_since_us: int | None = None
    remotes: set = field(default_factory=set)
    services: set = field(default_factory=set)


class EdgeOracle:
    """Feed packets one by one; rows come out as (identity, first ts, last ts, packets, features)."""

    def __init__(self):
        self.endpoints = {}
        self.rows = []
        self.now = 0
        self.raw = 0
        self.last_ts = None

    def push(self, packet):
        now = self._advance(packet.ts_us)
        self._expire(now)
        full = []
        for identity, sent in sides(packet):
            endpoint = self.endpoints.setdefault(identity, Endpoint(first_us=now))
            if not endpoint.window:
                endpoint.quiet_since_us = endpoint.last_us
            endpoint.window.append((now, packet, sent))
            endpoint.last_us = now
            if len(endpoint.window) == WINDOW_PACKETS:
                full.append(identity)
        for identity in full:
            self._close(identity)

    def finish(self):
        for identity in sorted(self._open(), key=self._opened):
            self._close(identity)
        return self.rows

    def _advance(self, ts_us):
        step = 0 if self.last_ts is None else ts_us - self.last_ts
        if step < -BACK_US:
            step = 0
        self.raw += min(step, AHEAD_US)
        self.last_ts = ts_us
        self.now = max(self.now, self.raw)
        return self.now

    def _open(self):
        return [identity for identity, endpoint in self.endpoints.items() if endpoint.window]

    def _opened(self, identity):
        _, packet, sent = self.endpoints[identity].window[0]
        return (packet.position, not sent)

    def _expire(self, now):
        due = [i for i in self._open() if self.endpoints[i].window[0][0] + WINDOW_US <= now]
        for identity in sorted(due, key=self._opened):
            self._close(identity)

    def _close(self, identity):
        endpoint = self.endpoints[identity]
        window, endpoint.window = endpoint.window, []
        row = features(window, endpoint)
        for _, packet, sent in window:
            remote = remote_of(packet, sent)
            if remote:
                endpoint.remotes.add(remote)
                endpoint.services.add((remote, service_port(packet), packet.proto))
        self.rows.append(
            (identity, window[0][1].ts_us, window[-1][1].ts_us, len(window), [row[c] for c in EDGE_V1.columns])
        )


def remote_of(packet, sent):
    return packet.dst if sent else packet.src


def mean(values):
    return sum(values) / len(values) if values else 0.0


def std(values):
    n = len(values)
    return math.sqrt(n * sum(v * v for v in values) - sum(values) ** 2) / n if n else 0.0


def features(window, endpoint):
    n = len(window)
    packets = [packet for _, packet, _ in window]
    clock = [now for now, _, _ in window]
    gaps = [b - a for a, b in itertools.pairwise(clock)]
    up = [p.size for _, p, sent in window if sent]
    down = [p.size for _, p, sent in window if not sent]
    remotes = [remote_of(p, sent) for _, p, sent in window]
    known = Counter(r for r in remotes if r)
    learning = clock[0] - endpoint.first_us < NOVELTY_AFTER_US
    pairs = [(r, service_port(p), p.proto) for r, p in zip(remotes, packets, strict=True)]
    new_remote = sum(1 for r in remotes if r and r not in endpoint.remotes)
    new_service = sum(1 for pair in pairs if pair[0] and pair not in endpoint.services)
    row = {
        "packets": n,
        "packets_per_s": len(gaps) * 1e6 / max(sum(gaps), 1000),
        "up_packet_share": len(up) / n,
        "up_size_mean": mean(up),
        "up_size_std": std(up),
        "up_size_min": min(up, default=0),
        "up_size_max": max(up, default=0),
        "down_size_mean": mean(down),
        "down_size_std": std(down),
        "down_size_max": max(down, default=0),
        "iat_std": std(gaps) / 1e6,
        "iat_max": max(gaps, default=0) / 1e6,
        "burst_share": sum(gap <= 1000 for gap in gaps) / n,
        "remotes": len(known),
        "top_remote_share": max(known.values(), default=0) / n,
        "new_remote_share": 0 if learning else new_remote / n,
        "new_service_share": 0 if learning else new_service / n,
        "idle_before_s": 0
        if endpoint.quiet_since_us is None
        else min(clock[0] - endpoint.quiet_since_us, 600_000_000) / 1e6,
    }
    row |= shares(window, n)
    row |= ports_and_spoofing(window)
    row |= dns(packets)
    return row


def shares(window, n):
    count = Counter()
    for _, p, sent in window:
        count.update(facts(p, sent))
    unanswered = max(count["syn_up"] - count["synack_down"], 0) + max(count["syn_down"] - count["synack_up"], 0)
    names = [c.removesuffix("_share") for c in EDGE_V1.columns if c.endswith("_share")]
    out = {f"{name}_share": count[name] / n for name in names}
    for computed in ("up_packet", "burst", "top_remote", "new_remote", "new_service"):
        del out[f"{computed}_share"]
    out["syn_unanswered_share"] = unanswered / n
    out["arp_unasked_share"] = max(count["arp_tell_down"] - count["arp_ask_up"], 0) / n
    return out


def facts(p, sent):
    if p.arp_op:
        yield "arp"
        if p.arp_op == 1 and sent:
            yield "arp_ask_up"
        if p.arp_op == 2 and not sent:
            yield "arp_tell_down"
        return
    yield {6: "tcp", 17: "udp", 1: "icmp"}.get(p.proto, "other")
    yield from p.hints
    if p.proto == 1 and p.icmp_type == 3:
        yield "unreachable"
    if p.proto in (6, 17):
        yield service_name(p) or "no service"
    if p.proto == 6:
        yield from tcp_facts(p, sent)


def tcp_facts(p, sent):
    fin, syn, rst, ack = (bool(p.flags & bit) for bit in (1, 2, 4, 16))
    if syn and not ack:
        yield "syn"
        yield "syn_up" if sent else "syn_down"
        if p.dport in (21, 22, 23, 2323):
            yield "login"
    if syn and ack:
        yield "synack_up" if sent else "synack_down"
    if fin:
        yield "fin"
    if rst:
        yield "rst" if sent else "rst_in"
    if p.flags == 0 or p.flags & 0x29 == 0x29 or (syn and fin) or (p.zero_window and not rst):
        yield "odd_flags"


def ports_and_spoofing(window):
    local, remote, ttls, claims = set(), set(), [], set()
    for _, p, sent in window:
        if p.proto in (6, 17):
            local.add(p.sport if sent else p.dport)
            remote.add(p.dport if sent else p.sport)
        if p.ttl and not sent:
            ttls.append(p.ttl)
        if p.arp_op:
            claims.add((p.src, p.src_mac))
    return {
        "local_ports": len(local),
        "remote_ports": len(remote),
        "ttl_spread": max(ttls) - min(ttls) if ttls else 0,
        "arp_conflicts": len(claims) - len({address for address, _ in claims}),
    }


def dns(packets):
    queries = [p.dns_name_len for p in packets if "dns_query" in p.hints]
    answers = [p.dns_id for p in packets if "dns_response" in p.hints]
    return {"dns_name_len": mean(queries), "dns_double_answers": len(answers) - len(set(answers))}
