"""The CICIoT2023 schemas frame by frame: slow, plain, written from the columns' definitions.

It parses bytes with ``struct`` only, keeps lists and dictionaries without limits, and knows no batches.
"""

import math
import statistics
from struct import unpack

from emtc_contract.ciciot2023 import CICIOT2023_39, CICIOT2023_46

PORTS = {"HTTP": 80, "HTTPS": 443, "Telnet": 23, "SMTP": 25, "SSH": 22, "IRC": 21}
FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "ece": 64, "cwr": 128}
MISNAMED = {"ack_count": 1, "syn_count": 2, "fin_count": 4, "urg_count": 8, "rst_count": 16}
CYCLE = 20


def datagram_length(octets):
    """Length of an IPv4 datagram after dpkt has parsed it and put it together again."""
    header = (octets[0] & 15) * 4
    total, offset = unpack(">H", octets[2:4])[0], unpack(">H", octets[6:8])[0] & 0x1FFF
    payload = octets[header : total or None]
    size = min(len(octets), header) + len(payload)
    if offset == 0 and octets[9] == 1 and len(payload) >= 8 and payload[0] in (3, 4, 5, 11):
        quote = payload[8:]
        return size - len(quote) + (datagram_length(quote) if is_readable(quote) else len(quote))
    if offset == 0 and octets[9] == 0 and is_readable(payload):
        return size - len(payload) + datagram_length(payload)
    return size


def is_readable(octets):
    return len(octets) >= 20 and octets[0] & 15 >= 5


class Frame:
    """What the extractors take from one frame."""

    def __init__(self, ts_us, octets):
        self.ts_us = ts_us
        self.ts = ts_us // 1_000_000 + ts_us % 1_000_000 / 1e6
        self.captured = self.size = len(octets)
        self.is_arp = octets[12:14] == b"\x08\x06"
        self.proto = self.ttl = self.flags = self.header = 0
        self.kind, self.ports, self.ends = "", (0, 0), None
        if not self.is_arp:
            self._read(octets[14:])

    def _read(self, ip):
        self.size = 14 + datagram_length(ip)
        self.ttl, self.proto = ip[8], ip[9]
        header, total = (ip[0] & 15) * 4, unpack(">H", ip[2:4])[0]
        payload = ip[header : total or None]
        if unpack(">H", ip[6:8])[0] & 0x1FFF:
            return
        if self.proto == 6 and len(payload) >= 20 and payload[12] >> 4 >= 5:
            self.kind, self.flags = "TCP", payload[13]
            self.header = min(len(payload), (payload[12] >> 4) * 4)
        elif self.proto == 17 and len(payload) >= 8:
            self.kind, self.header = "UDP", 8
        if self.kind:
            self.ports = unpack(">HH", payload[:4])
            self.ends = ((ip[12:16], self.ports[0]), (ip[16:20], self.ports[1]))

    def marks(self):
        """Columns that both schemas define alike."""
        row = {name: float(self.kind == "TCP" and port in self.ports) for name, port in PORTS.items()}
        row |= {f"{name}_flag_number": float(bool(self.flags & bit)) for name, bit in FLAGS.items()}
        row |= {"TCP": float(self.kind == "TCP"), "UDP": float(self.kind == "UDP"), "ARP": float(self.is_arp)}
        row |= {"IPv": float(not self.is_arp), "LLC": float(not self.is_arp), "ICMP": float(self.proto == 1)}
        row["DNS"] = float(self.kind == "UDP" and 53 in self.ports)
        return row


def makes_row(octets):
    """Whether a frame makes a row: ARP, or IPv4 with a readable header."""
    if len(octets) < 14:
        return False
    return octets[12:14] == b"\x08\x06" or (octets[12:14] == b"\x08\x00" and is_readable(octets[14:]))


class Oracle39:
    schema = CICIOT2023_39

    def __init__(self):
        self.last = 0.0

    def row(self, frame):
        gap = frame.ts - self.last if self.last else 0.0
        self.last = frame.ts
        marks = frame.marks()
        marks["IGMP"] = float(frame.proto == 2)
        marks["DHCP"] = float(frame.kind == "UDP" and set(frame.ports) == {67, 68})
        return frame, gap, marks

    def window(self, rows):
        frames, n = [frame for frame, _, _ in rows], len(rows)
        lengths = [frame.captured for frame in frames]
        span = max(frame.ts for frame in frames) - min(frame.ts for frame in frames)
        protocols = [frame.proto for frame in frames]
        out = {name: sum(marks[name] for _, _, marks in rows) / n for name in rows[0][2]}
        out |= {f"{name}_count": out[f"{name}_flag_number"] * n for name in ("ack", "syn", "fin", "rst")}
        out["Header_Length"] = sum(frame.header for frame in frames) / n
        out["Protocol Type"] = min(protocols, key=lambda proto: (-protocols.count(proto), proto))
        out["Time_To_Live"] = sum(frame.ttl for frame in frames) / n
        out["Rate"] = n / span if span else math.inf
        out |= {"Tot sum": sum(lengths), "Min": min(lengths), "Max": max(lengths), "Number": n}
        out["AVG"] = out["Tot size"] = sum(lengths) / n
        out["Variance"] = statistics.variance(lengths) if n > 1 else math.nan
        out["Std"] = math.sqrt(out["Variance"])
        out["IAT"] = sum(gap for _, gap, _ in rows) / n
        return [out[name] for name in self.schema.columns]


class Oracle46:
    schema = CICIOT2023_46

    def __init__(self):
        self.last = self.rate = self.self_rate = 0.0
        self.flows = {}
        self.cycle = []

    def row(self, frame):
        row = frame.marks()
        row["DHCP"] = float(frame.kind == "UDP" and (frame.ports[0] == 67 or frame.ports[1] == 68))
        row |= {"Protocol Type": frame.proto, "Duration": frame.ttl, "Tot size": frame.size}
        self._flow(frame, row)
        row |= {"Rate": self.rate, "Srate": self.rate, "Drate": self.self_rate}
        self._cycle(frame, row)
        return row

    def _flow(self, frame, row):
        row |= dict.fromkeys(("flow_duration", "Header_Length", *MISNAMED), 0)
        if not frame.kind:
            return
        flow = self.flows.setdefault((frame.kind, *sorted(frame.ends)), [])
        flow.append(frame)
        duration = max(one.ts for one in flow) - min(one.ts for one in flow)
        row |= {"flow_duration": duration, "Header_Length": sum(one.size for one in flow)}
        row |= {name: sum(bool(one.flags & bit) for one in flow) for name, bit in MISNAMED.items()}
        if duration:
            self.rate = len(flow) / duration
            self.self_rate = self.rate if frame.ends[0] == frame.ends[1] else 0.0

    def _cycle(self, frame, row):
        self.cycle.append(frame.size)
        sizes, full = self.cycle, len(self.cycle) == CYCLE
        stream = sizes[:-1] if full else sizes
        variance = statistics.pvariance(stream)
        row |= {"Tot sum": sum(sizes), "Min": min(sizes), "Max": max(sizes), "AVG": sum(sizes) / len(sizes)}
        row |= {"Std": math.sqrt(statistics.pvariance(sizes)), "IAT": frame.ts if full else frame.ts - self.last}
        row |= {"Magnitue": math.sqrt(2 * sum(stream) / len(stream)), "Radius": math.sqrt(2 * variance)}
        row |= {"Covariance": variance, "Variance": float(variance != 0), "Weight": len(stream) ** 2}
        self.last = frame.ts
        self.cycle = [] if full else sizes
        row["Number"] = len(self.cycle)

    def window(self, rows):
        return [sum(row[name] for row in rows) / len(rows) for name in self.schema.columns]


def rows_of(oracle, packets, window, chunk_bytes):
    """All rows of (time, frame) pairs; ``oracle`` makes a fresh oracle for each chunk."""
    rows, current, pending, written = [], oracle(), [], 24
    for ts_us, octets in packets:
        if chunk_bytes is not None and written > chunk_bytes:
            rows += [current.window(pending)] if pending else []
            current, pending, written = oracle(), [], 24
        written += 16 + len(octets)
        if makes_row(octets):
            pending.append(current.row(Frame(ts_us, octets)))
            if len(pending) == window:
                rows.append(current.window(pending))
                pending = []
    return rows + ([current.window(pending)] if pending else [])
