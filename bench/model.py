"""``scripts/bench model``: what a model costs in each form and runtime, one thread, each in a process of its own.

The networks are fitted for one pass on the shipped capture: size and speed do not depend on the weights.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from bench.model_child import BATCHES, ROWS
from emtc_agent.detector import RUNTIMES
from emtc_contract.edge_v1 import EDGE_V1

if TYPE_CHECKING:  # a child must not hold more than an agent does
    from emtc_trainer.data import Dataset

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "lab" / "recordings" / "demo"
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
    command = [sys.executable, "-m", "bench.model_child", str(path), form, runtime, str(seconds)]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)


def _replay_rss_mb(runtime: str) -> float:
    """Peak memory of the whole agent over the shipped capture."""
    agent = str(Path(sys.executable).with_name("emtc-agent"))
    code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3)"
    replay = [agent, "replay", str(DEMO / "capture.pcap.gz"), "--json", "--runtime", runtime]
    return float(subprocess.run([sys.executable, "-c", code, *replay], capture_output=True, check=True).stdout)
