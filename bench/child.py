"""What a measured process does: prepare, run once, and print its figures as JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

Run = Callable[[str], tuple[int, int]]
"""Reads a capture; returns its packets and the records made of them."""


def serve(contenders: Mapping[str, Callable[[], Run]]) -> None:
    """Run the contender ``sys.argv[1]`` on the capture ``sys.argv[2]``; imports are made before the clock starts."""
    run = contenders[sys.argv[1]]()
    begin = time.perf_counter()
    packets, records = run(sys.argv[2])
    seconds = time.perf_counter() - begin
    children_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    figures = {"packets": packets, "records": records, "seconds": seconds, "rss_mb": max(_peak_mb(), children_mb)}
    print(json.dumps(figures))


def _peak_mb() -> float:
    """Peak memory of this process since it became this program (``ru_maxrss`` would count its parent too)."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1e3
