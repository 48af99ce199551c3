"""``scripts/bench model``: what a model costs in each form and runtime, one thread, each in a process of its own.

The networks are fitted for one pass on the shipped capture: size and speed do not depend on the weights.
"""

from __future__ import annotations

import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import numpy as np

from emtc_agent.detector import RUNTIMES
from emtc_contract.bundle import Artifact
from emtc_contract.edge_v1 import EDGE_V1
from emtc_trainer.data import Dataset

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "lab" / "recordings" / "demo"
BATCHES = (1, 32, 256)
ROWS = 2_560
PAPER = "the paper's 9.55 MB on disk (with the optimiser's state), 0.515 ms a row in batches, 80.9 ms for one row"
_COLUMNS = len(EDGE_V1.features)


@click.command()
@click.option("--preset", "presets", multiple=True, default=("tiny", "default", "paper"), show_default=True)
@click.option("--seconds", default=2.0, show_default=True, help="Time per figure.")
def model(presets: tuple[str, ...], seconds: float) -> None:
    """Size, load time, memory, latency and throughput of every exported form in every installed runtime."""
    click.echo("| preset | file | KB | runtime | load ms | agent RSS MB | " + _heads() + " | rows/s, 1 thread |")
    click.echo("|---" * (7 + len(BATCHES)) + "|")
    for preset in presets:
        with tempfile.TemporaryDirectory() as folder:
            for path, form in _export(preset, Path(folder)):
                for kind in (kind for kind in RUNTIMES if kind.installed and kind.form == form):
                    _row(preset, path, kind.name, _in_a_child(path, form, kind.name, seconds))
    click.echo(f"\nTo hold beside it: {PAPER}.\n")
    click.echo("| emtc-agent replay of the shipped capture | peak RSS MB |\n|---|---|")
    for kind in (kind for kind in RUNTIMES if kind.installed):
        click.echo(f"| {kind.name} | {_replay_rss_mb(kind.name):.0f} |")


def _heads() -> str:
    return " | ".join(f"{batch} row{'s' * (batch > 1)}, us" for batch in BATCHES)


def _row(preset: str, path: Path, runtime: str, figures: dict[str, float]) -> None:
    latencies = " | ".join(f"{figures[str(batch)]:.0f}" for batch in BATCHES)
    size = path.stat().st_size / 1e3
    click.echo(
        f"| {preset} | {path.name} | {size:.0f} | {runtime} | {figures['load_ms']:.1f} | {figures['rss_mb']:.0f} "
        f"| {latencies} | {figures['rows_per_s']:,.0f} |"
    )


def _export(preset: str, folder: Path) -> list[tuple[Path, str]]:
    """Every form of a network of that size."""
    from emtc_export import tflite_model
    from emtc_export.build import export_files
    from emtc_trainer.training import FitConfig, fit

    rows = _benign()
    half = np.arange(len(rows)) % 2 == 0
    trained = fit(
        rows.take(half), rows.take(~half), FitConfig(preset=preset, epochs=1), lambda *_: None, lambda _: None
    )
    made = []
    for file in export_files(trained, lambda _: None, tflite=tflite_model.installed()):
        (folder / file.name).write_bytes(file.content)
        made.append((folder / file.name, file.form))
    np.save(folder / "rows.npy", np.resize(rows.features, (ROWS, _COLUMNS)))
    return made


def _benign() -> Dataset:
    from emtc_trainer.data import load

    rows = load([DEMO], "train", EDGE_V1, lambda _: None)
    return rows.take(rows.label == "")


def _in_a_child(path: Path, form: str, runtime: str, seconds: float) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.model", str(path), form, runtime, str(seconds)]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)


def measure(path: Path, form: str, runtime: str, seconds: float) -> dict[str, float]:
    """Figures of one file in one runtime, in this process, which has the whole agent in memory."""
    importlib.import_module("emtc_agent.commands.replay")
    kind = next(kind for kind in RUNTIMES if kind.name == runtime)
    rows = np.load(path.with_name("rows.npy"), mmap_mode="r")
    content = path.read_bytes()
    artifact = Artifact(path.name, form, "", "", len(content), 0.0, (), ())
    begin = time.perf_counter()
    loaded = kind.load(content, artifact, _COLUMNS)
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
    return statistics.quantiles(durations, n=10)[0]


def _rss_mb() -> float:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1e3


def _replay_rss_mb(runtime: str) -> float:
    """Peak memory of the whole agent over the shipped capture."""
    agent = str(Path(sys.executable).with_name("emtc-agent"))
    code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3)"
    replay = [agent, "replay", str(DEMO / "capture.pcap.gz"), "--json", "--runtime", runtime]
    return float(subprocess.run([sys.executable, "-c", code, *replay], capture_output=True, check=True).stdout)


if __name__ == "__main__":  # the child of one measurement
    print(json.dumps(measure(Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4]))))
