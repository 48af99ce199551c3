"""The formulas of ``ciciot2023-39``; column meanings in ``emtc_contract.ciciot2023``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from emtc_agent.features.capture_extractor import Values
from emtc_agent.features.cic_frames import BIT, Frames
from emtc_agent.packets import Float64, Int64, UInt8
from emtc_agent.windows.runs import distinct_values
from emtc_agent.windows.traits import count
from emtc_contract.ciciot2023 import CICIOT2023_39

_SAME_NAME = (
    "HTTP",
    "HTTPS",
    "DNS",
    "Telnet",
    "SMTP",
    "SSH",
    "IRC",
    "TCP",
    "UDP",
    "DHCP",
    "ARP",
    "ICMP",
    "IGMP",
    "IPv",
)
_NO_PROTOCOL = np.uint16(256)


class Formulas39:
    """Values of frames, and windows of them; remembers the time of the last frame."""

    schema = CICIOT2023_39
    spilled = 0  # it has no bounded table

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start anew, as at the beginning of a capture."""
        self._last_s = 0.0

    def of_frames(self, frames: Frames) -> Values:
        """What windows are computed from, per frame."""
        before = np.append(self._last_s, frames.ts_s[:-1])
        gap = np.where(before == 0, 0.0, frames.ts_s - before)  # a time of 0 is no time, there as here
        self._last_s = float(frames.ts_s[-1])
        return {
            "bits": frames.bits,
            "captured": frames.captured,
            "proto": frames.proto,
            "ttl": frames.ttl.astype(np.int64),
            "header_len": frames.header_len,
            "ts_s": frames.ts_s,
            "gap": gap,
        }

    def of_windows(self, values: Values, start: Int64, frames: Int64) -> Float64:
        """(W, 39) features of windows that begin at ``start`` and hold ``frames`` frames each."""
        counts = count(values["bits"], start)

        def total(name: str) -> npt.NDArray[Any]:
            return np.add.reduceat(values[name], start)

        def flagged(name: str) -> UInt8:
            return counts[:, BIT[name]]

        flags = ("fin", "syn", "rst", "psh", "ack", "ece", "cwr")
        length = total("captured")
        variance = _sample_variance(values["captured"], length, start, frames)
        columns: Values = {
            "Header_Length": total("header_len") / frames,
            "Protocol Type": _mode(values["proto"], start, frames),
            "Time_To_Live": total("ttl") / frames,
            "Rate": _rate(values["ts_s"], start, frames),
            **{f"{flag}_flag_number": flagged(flag) / frames for flag in flags},
            **{f"{flag}_count": flagged(flag) for flag in ("ack", "syn", "fin", "rst")},
            **{name: flagged(name) / frames for name in _SAME_NAME},
            "LLC": flagged("IPv") / frames,
            "Tot sum": length,
            "Min": np.minimum.reduceat(values["captured"], start),
            "Max": np.maximum.reduceat(values["captured"], start),
            "AVG": length / frames,
            "Std": np.sqrt(variance),
            "Tot size": length / frames,
            "IAT": total("gap") / frames,
            "Number": frames,
            "Variance": variance,
        }
        return np.column_stack([columns[name] for name in self.schema.columns]).astype(np.float64)


def _sample_variance(value: Int64, total: Int64, start: Int64, frames: Int64) -> Float64:
    """Variance with n - 1 below the line; NaN for a single frame."""
    squares = np.add.reduceat(value * value, start)
    pairs = np.where(frames > 1, frames * (frames - 1), np.nan)
    return (frames * squares - total * total) / pairs


def _rate(ts_s: Float64, start: Int64, frames: Int64) -> Float64:
    span = np.maximum.reduceat(ts_s, start) - np.minimum.reduceat(ts_s, start)
    return np.divide(frames, span, out=np.full(len(start), np.inf), where=span > 0)


def _mode(proto: UInt8, start: Int64, frames: Int64) -> Int64:
    """Most frequent protocol of each window, the smallest on ties."""
    window, protocol, times = distinct_values(proto.astype(np.uint16), start, frames, _NO_PROTOCOL)
    best = np.full(len(start), -1)
    np.maximum.at(best, window, times * 256 + (255 - protocol.astype(np.int64)))
    return 255 - best % 256
