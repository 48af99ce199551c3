"""Who runs: the agent's schemas and stages in this environment, peers in ``.venv-bench``, and the C counter."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
LIBPCAP = "libpcap"
STAGES = ("read", "read, decode", "edge-v1", "replay")
_TIMEOUT_S = 900


@dataclass(frozen=True)
class Contender:
    """One program to measure.

    Attributes:
        command: What to run; a capture is added.
        share: Part of a capture that it gets; slow ones would take minutes.
        missing: Why it cannot run; empty if it can.
    """

    name: str
    command: tuple[str, ...]
    share: float = 1.0
    missing: str = ""


@dataclass(frozen=True)
class Figures:
    """What one run gave."""

    packets: int
    records: int
    seconds: float
    rss_mb: float


def contenders(folder: Path, *, stages: bool) -> list[Contender]:
    """All of them, in the order of the table; ``folder`` receives the C counter's program."""
    ours = ["edge-v1", "ciciot2023-39", "ciciot2023-46", *(name for name in STAGES if stages and name != "edge-v1")]
    peers = [("nfstream", 1.0), ("dpkt", 1.0), ("scapy", 0.05), ("cicflowmeter", 0.01)]
    return [
        *(Contender(name, (sys.executable, "-m", "bench.ours", name)) for name in ours),
        _libpcap(folder),
        *(_peer(name, share) for name, share in peers),
    ]


def _peer(name: str, share: float) -> Contender:
    missing = ""
    if not PEERS_PYTHON.exists():
        missing = "no .venv-bench: scripts/bench makes it"
    elif subprocess.run([PEERS_PYTHON, "-c", f"import {name}"], capture_output=True, check=False).returncode:
        missing = "cannot be imported in .venv-bench"
    return Contender(name, (str(PEERS_PYTHON), "-m", "bench.peers", name), share, missing)


def _libpcap(folder: Path) -> Contender:
    program = folder / "libpcap_count"
    if compiler := shutil.which("cc"):
        source = ROOT / "bench" / "libpcap_count.c"
        command = [compiler, "-O2", "-o", str(program), str(source), "-lpcap"]
        missing = subprocess.run(command, capture_output=True, text=True, check=False).stderr.strip()
        why = "libpcap0.8-dev is not installed" if "pcap.h" in missing else missing
        return Contender(LIBPCAP, (str(program),), missing=why)
    return Contender(LIBPCAP, (), missing="no C compiler")


def run(contender: Contender, capture: Path) -> Figures:
    """One run in a process of its own, pinned to one core; raises subprocess.SubprocessError."""
    core = str(max(os.sched_getaffinity(0)))
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(
        ["taskset", "-c", core, *contender.command, str(capture)],
        cwd=ROOT,
        env=os.environ | threads,
        capture_output=True,
        check=True,
        timeout=_TIMEOUT_S,
    )
    return Figures(**json.loads(done.stdout.splitlines()[-1]))
