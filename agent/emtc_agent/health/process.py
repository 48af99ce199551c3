"""What the agent takes and what the machine has left: /proc/self, statvfs, sensors; what nobody tells is None."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_THERMAL = Path("/sys/class/thermal")
_MOST_BYTES = 65_536  # of a file in /proc
_MILLIDEGREES = 1_000


@dataclass(frozen=True, slots=True)
class ProcessHealth:
    """A process.

    Attributes:
        rss_bytes, peak_rss_bytes: Memory it holds, and the most it held.
        cpu_s: Processor time it has used, user and system.
        open_files: Descriptors; None where they may not be listed.
        threads: Threads.
    """

    rss_bytes: int
    peak_rss_bytes: int
    cpu_s: float
    open_files: int | None
    threads: int


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """A file system: bytes in all, and bytes that a user other than root may still write."""

    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class SystemHealth:
    """The machine.

    Attributes:
        load_1min: Processes that ran or wanted to, on average.
        available_bytes: Memory that programs could still get.
        temperature_c: Of the hottest sensor.
    """

    load_1min: float | None
    available_bytes: int | None
    temperature_c: float | None


def own_process(folder: Path = _PROC / "self") -> ProcessHealth:
    """This process, as proc(5) shows it in ``folder``.

    Raises:
        OSError: /proc is not there.
    """
    status = fields(folder / "status")
    rss_bytes = _kibibytes(status.get("VmRSS")) or 0
    return ProcessHealth(
        rss_bytes=rss_bytes,
        peak_rss_bytes=_kibibytes(status.get("VmHWM")) or rss_bytes,
        cpu_s=_cpu_s(folder / "stat"),
        open_files=_open_files(folder / "fd"),
        threads=int(status.get("Threads", "1")),
    )


def disk_space(folder: Path) -> DiskSpace:
    """Space of the file system a folder is on; raises OSError."""
    told = os.statvfs(folder)
    return DiskSpace(told.f_blocks * told.f_frsize, told.f_bavail * told.f_frsize)


def system_health(proc: Path = _PROC, thermal: Path = _THERMAL) -> SystemHealth:
    """The machine, as far as it tells."""
    try:
        load: float | None = float((proc / "loadavg").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        load = None
    try:
        available = _kibibytes(fields(proc / "meminfo").get("MemAvailable"))
    except OSError:
        available = None
    return SystemHealth(load, available, max(_temperatures_c(thermal), default=None))


def fields(path: Path) -> dict[str, str]:
    """The ``name: value`` lines of a file in /proc; raises OSError."""
    with path.open(encoding="utf-8", errors="replace") as file:
        pairs = (line.partition(":") for line in file.read(_MOST_BYTES).splitlines())
        return {name.strip(): value.strip() for name, _, value in pairs}


def _kibibytes(text: str | None) -> int | None:
    """Bytes of a ``1234 kB``."""
    return int(text.split()[0]) * 1_024 if text else None


def _cpu_s(stat: Path) -> float:
    """Fields utime and stime; the name of the program before them may contain anything."""
    numbers = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


def _open_files(folder: Path) -> int | None:
    try:
        return sum(1 for _ in folder.iterdir()) - 1  # one of them reads the list
    except OSError:
        return None


def _temperatures_c(folder: Path) -> Iterator[float]:
    for sensor in folder.glob("thermal_zone*/temp"):
        try:
            yield int(sensor.read_text(encoding="ascii")) / _MILLIDEGREES
        except (OSError, ValueError):  # a sensor that sleeps
            continue
