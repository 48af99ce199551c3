"""The formulas of ``ciciot2023-46``; column meanings in ``emtc_contract.ciciot2023``."""

from __future__ import annotations

import numpy as np

from emtc_agent.features.capture_extractor import Values
from emtc_agent.features.cic_frames import BIT, TCP, Frames, seconds
from emtc_agent.packets import Bool, Float64, Int64, UInt8
from emtc_agent.windows.flows import FlowTable
from emtc_agent.windows.hashing import KeyedHash
from emtc_agent.windows.traits import count
from emtc_contract.ciciot2023 import CICIOT2023_46

CYCLE = 20
_FLOW_FLAGS = ("fin", "syn", "rst", "psh", "ack")
_FLOW_COLUMNS = ("ack_count", "syn_count", "fin_count", "urg_count", "rst_count")  # misnamed in the original
_SAME_NAME = ("HTTP", "HTTPS", "DNS", "Telnet", "SMTP", "SSH", "IRC", "TCP", "UDP", "ARP", "ICMP", "IPv")
_PORT_BITS, _TCP_BIT = np.uint64(16), np.uint64(1 << 48)


class Formulas46:
    """Values of frames, and windows of them; remembers flows, the cycle of 20 and the last rates.

    Args:
        max_flows: Flows remembered; a power of two.
        hash_key: Fixed hash key for reproducible tests; random by default.
    """

    schema = CICIOT2023_46

    def __init__(self, max_flows: int = 131_072, hash_key: int | None = None) -> None:
        self.flows = FlowTable(max_flows, len(_FLOW_FLAGS))
        self._hash = KeyedHash(hash_key)
        self.reset()

    @property
    def spilled(self) -> int:
        """Packets whose flow found no room."""
        return self.flows.spilled

    def reset(self) -> None:
        """Start anew, as at the beginning of a capture."""
        self.flows.clear()
        self._cycle = np.zeros(0, np.int64)
        self._last_s = 0.0
        self._rates = (0.0, 0.0)

    def of_frames(self, frames: Frames) -> Values:
        """What windows are computed from, per frame."""
        return {
            "bits": frames.bits,
            "Protocol Type": frames.proto.astype(np.int64),
            "Duration": frames.ttl.astype(np.int64),
            "Tot size": frames.size,
            **self._of_flows(frames),
            **self._of_cycles(frames),
        }

    def of_windows(self, values: Values, start: Int64, frames: Int64) -> Float64:
        """(W, 46) features of windows that begin at ``start`` and hold ``frames`` frames each."""
        counts = count(values["bits"], start)

        def flagged(name: str) -> UInt8:
            return counts[:, BIT[name]]

        shares = {f"{flag}_flag_number": flag for flag in ("fin", "syn", "rst", "psh", "ack", "ece", "cwr")}
        shares |= {name: name for name in _SAME_NAME} | {"DHCP": "DHCP reply", "LLC": "IPv"}
        columns = {name: flagged(bit) / frames for name, bit in shares.items()}
        columns |= {name: np.add.reduceat(value, start) / frames for name, value in values.items() if name != "bits"}
        columns["Srate"] = columns["Rate"]
        return np.column_stack([columns[name] for name in self.schema.columns])

    def _of_flows(self, frames: Frames) -> Values:
        """Totals of flows so far, and the rates, which outlive their flow."""
        size = len(frames)
        columns: Values = {name: np.zeros(size, np.int64) for name in ("Header_Length", *_FLOW_COLUMNS)}
        columns["flow_duration"] = np.zeros(size)
        rate, self_rate, known = np.zeros(size), np.zeros(size), np.zeros(size, bool)
        rows = np.flatnonzero(frames.has_flow)
        if len(rows):
            tag, to_itself = self._flow_tags(frames, rows)
            flags = (frames.flags[rows, None] >> np.array([BIT[flag] for flag in _FLOW_FLAGS], np.uint8) & 1) != 0
            totals = self.flows.observe(tag, frames.size[rows], frames.ts_us[rows], flags)
            duration = seconds(totals.last_us) - seconds(totals.first_us)
            columns["flow_duration"][rows] = duration
            columns["Header_Length"][rows] = totals.size
            for name, column in zip(_FLOW_COLUMNS, totals.counts.T, strict=True):
                columns[name][rows] = column
            lasting = duration != 0
            known[rows] = lasting
            rate[rows] = np.divide(totals.packets, duration, out=np.zeros(len(rows)), where=lasting)
            self_rate[rows] = rate[rows] * to_itself
        columns["Rate"], columns["Drate"] = self._sticky(known, rate, self_rate)
        return columns

    def _flow_tags(self, frames: Frames, rows: Int64) -> tuple[np.ndarray, Bool]:
        """(K,) keyed hash of the unordered pair of ends with the protocol, and whether both ends are the same."""
        one = frames.src[rows].astype(np.uint64) << _PORT_BITS | frames.src_port[rows]
        other = frames.dst[rows].astype(np.uint64) << _PORT_BITS | frames.dst_port[rows]
        is_tcp = (frames.proto[rows] == TCP) * _TCP_BIT
        return self._hash(np.minimum(one, other) | is_tcp, np.maximum(one, other)), one == other

    def _sticky(self, known: Bool, rate: Float64, self_rate: Float64) -> tuple[Float64, Float64]:
        """Each rate where it is not known is that of the frame before, whatever its flow."""
        last = np.maximum.accumulate(np.where(known, np.arange(1, len(known) + 1), 0))
        held = tuple(np.append(old, new)[last] for old, new in zip(self._rates, (rate, self_rate), strict=True))
        self._rates = float(held[0][-1]), float(held[1][-1])
        return held[0], held[1]

    def _of_cycles(self, frames: Frames) -> Values:
        """Statistics of the sizes in the cycle of 20 so far; the 20th is left out of some."""
        before = len(self._cycle)
        size = np.concatenate([self._cycle, frames.size])
        padded = np.zeros(-(-len(size) // CYCLE) * CYCLE, np.int64)
        padded[: len(size)] = size
        cycles = padded.reshape(-1, CYCLE)
        here = slice(before, len(size))
        k = np.tile(np.arange(1, CYCLE + 1), len(cycles))[here]
        total, squares = np.cumsum(cycles, axis=1), np.cumsum(cycles * cycles, axis=1)
        ts_s, full = frames.ts_s, k == CYCLE
        gap = np.diff(ts_s, prepend=self._last_s)
        self._last_s = float(ts_s[-1])
        self._cycle = size[len(size) // CYCLE * CYCLE :]
        return {
            "Tot sum": total.reshape(-1)[here],
            "Min": np.minimum.accumulate(cycles, axis=1).reshape(-1)[here],
            "Max": np.maximum.accumulate(cycles, axis=1).reshape(-1)[here],
            "AVG": total.reshape(-1)[here] / k,
            "Std": np.sqrt(_variance(total.reshape(-1)[here], squares.reshape(-1)[here], k)),
            "IAT": np.where(full, ts_s, gap),
            "Number": k % CYCLE,
            **_stream(total, squares, k, here),
        }


def _stream(total: Int64, squares: Int64, k: Int64, here: slice) -> Values:
    """Statistics of the originals' stream list, which the 20th frame of a cycle never enters."""
    total, squares = total.copy(), squares.copy()
    total[:, -1], squares[:, -1] = total[:, -2], squares[:, -2]
    k = np.minimum(k, CYCLE - 1)
    mean = total.reshape(-1)[here] / k
    variance = _variance(total.reshape(-1)[here], squares.reshape(-1)[here], k)
    return {
        "Magnitue": np.sqrt(2 * mean),
        "Radius": np.sqrt(2 * variance),
        "Covariance": variance,
        "Variance": (variance != 0).astype(np.int64),
        "Weight": k * k,
    }


def _variance(total: Int64, squares: Int64, k: Int64) -> Float64:
    """Population variance of k numbers with this sum and sum of squares."""
    return (k * squares - total * total) / (k * k)
