"""Whether times in alerts will be right, and certificates be judged rightly: adjtimex(2), the year, the clocks."""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from pathlib import Path
from struct import calcsize, unpack_from

from emtc_agent.doctor.finding import Finding

RELEASE_YEAR = 2026
_YEARS_OF_USE = 30  # a clock beyond that is as wrong as one in 1970
_UNSYNCHRONISED = 0x40  # STA_UNSYNC
_STATUS = "@I4li"  # modes, offset, freq, maxerror, esterror, status: the head of struct timex
_TIMEX_BYTES = 512  # more than any platform's
_TIMESYNCD = Path("/run/systemd/timesync/synchronized")
_START = "Start one of systemd-timesyncd (timedatectl set-ntp true) and chrony, and let UDP port 123 out."


@dataclass(frozen=True, slots=True)
class ClockState:
    """The system clock.

    Attributes:
        now_s: Its time, seconds since 1970.
        synchronised: Whether something keeps it right; None if the kernel does not say.
        most_error_s: By how much it may be wrong, if it is kept right.
    """

    now_s: float
    synchronised: bool | None
    most_error_s: float | None


def clock_state(timesyncd: Path = _TIMESYNCD) -> ClockState:
    """Ask the kernel, and systemd-timesyncd, which marks by a file that it has set the clock once."""
    state = _adjtimex()
    if state is None:
        return ClockState(time.time(), True if timesyncd.exists() else None, None)
    status, most_error_us = state
    synchronised = not status & _UNSYNCHRONISED
    return ClockState(
        time.time(), synchronised or timesyncd.exists(), most_error_us / 1_000_000 if synchronised else None
    )


def _adjtimex() -> tuple[int, int] | None:
    """Status and greatest error in microseconds, or None where there is no such call or it is denied."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        failed = ctypes.CDLL(None, use_errno=True).adjtimex(timex) < 0
    except AttributeError:
        return None
    if failed or calcsize(_STATUS) > _TIMEX_BYTES:
        return None
    _, _, _, most_error_us, _, status = unpack_from(_STATUS, timex)
    return status, most_error_us


def check_clock(state: ClockState) -> list[Finding]:
    """Judge a clock."""
    findings = [_year(state.now_s), _synchronised(state)]
    info = time.get_clock_info("monotonic")
    if not info.monotonic or info.adjustable:
        what = f"{info.implementation} may step: windows and time-outs rely on a clock that does not"
        findings.append(Finding("monotonic clock", "problem", what, "Use a kernel with CLOCK_MONOTONIC."))
    return findings


def _year(now_s: float) -> Finding:
    now = time.gmtime(now_s)
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", now)
    if RELEASE_YEAR <= now.tm_year <= RELEASE_YEAR + _YEARS_OF_USE:
        return Finding("clock", "ok", shown)
    fix = f"Set it once: date -u -s '{RELEASE_YEAR}-01-01 00:00', then let NTP correct it; a clock battery keeps it."
    return Finding("clock", "problem", f"{shown} cannot be: certificates would seem invalid", fix)


def _synchronised(state: ClockState) -> Finding:
    name = "clock synchronisation"
    if state.synchronised is None:
        fix = "Ask outside of the service's sandbox: timedatectl, or chronyc tracking."
        return Finding(name, "warning", "the kernel does not say here whether the clock is kept right", fix)
    if not state.synchronised:
        return Finding(name, "warning", "nothing keeps the clock right: times in alerts will drift", _START)
    error = f", to {state.most_error_s:.3f} s at worst" if state.most_error_s is not None else ""
    return Finding(name, "ok", f"the clock is kept right{error}")
