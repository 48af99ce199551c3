"""One model file in one runtime, measured in a process that holds the agent and next to nothing else."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from emtc_agent.detector import RUNTIMES
from emtc_contract.bundle import Artifact

BATCHES = (1, 32, 256)
ROWS = 2_560


def measure(path: Path, form: str, runtime: str, seconds: float) -> dict[str, float]:
    """Figures of one file in one runtime, in this process, which has the whole agent in memory."""
    importlib.import_module("emtc_agent.commands.replay")
    kind = next(kind for kind in RUNTIMES if kind.name == runtime)
    rows = np.load(path.with_name("rows.npy"), mmap_mode="r")
    content = path.read_bytes()
    artifact = Artifact(path.name, form, "", "", len(content), 0.0, (), ())
    begin = time.perf_counter()
    loaded = kind.load(content, artifact, rows.shape[1])
    figures = {"load_ms": (time.perf_counter() - begin) * 1e3}
    for batch in BATCHES:
        some = np.array(rows[:batch])
        figures[str(batch)] = _usual_s(partial(loaded.run, some), seconds) * 1e6
    figures["rss_mb"] = _rss_mb()
    rows = np.array(rows)
    figures["rows_per_s"] = ROWS / _usual_s(partial(loaded.run, rows), seconds)
    return figures


def _usual_s(call: Callable[[], object], seconds: float) -> float:
    """Duration of a call that nothing disturbed: the lower decile of at least 20."""
    durations: list[float] = []
    end = time.perf_counter() + seconds
    call()
    while len(durations) < 20 or time.perf_counter() < end:
        begin = time.perf_counter()
        call()
        durations.append(time.perf_counter() - begin)
    return sorted(durations)[len(durations) // 10]


def _rss_mb() -> float:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1e3


if __name__ == "__main__":
    path, form, runtime, seconds = sys.argv[1:]
    print(json.dumps(measure(Path(path), form, runtime, float(seconds))))
