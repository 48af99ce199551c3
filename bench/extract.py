"""``scripts/bench extract``: from a capture file to rows of features, beside what people use today."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track

from bench import captures
from bench.contenders import Contender, Figures, contenders
from bench.contenders import run as run_one
from bench.machine import describe
from bench.report import Result, markdown, targets


@click.command()
@click.argument("sources", nargs=-1, metavar="[iot|mix|flood|CAPTURE]...")
@click.option("--packets", default=1_000_000, show_default=True, help="Size of the captures made here.")
@click.option("--repeat", default=5, show_default=True, help="Runs of each; the median counts.")
@click.option("--only", multiple=True, metavar="NAME", help="Only this contender; may be given several times.")
@click.option("--stages", is_flag=True, help="Also where the time goes: read, decode, whole replay.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: machine, every run, targets.")
def extract(
    sources: tuple[str, ...], packets: int, repeat: int, only: tuple[str, ...], stages: bool, as_json: bool
) -> None:
    """Measure extraction beside nfstream, dpkt, scapy, cicflowmeter and a bare libpcap counter.

    Each runs in a process of its own on one core, all in turn, so that a noisy machine disturbs all alike. Time
    counts from opening the file to the last row; starting Python and importing does not count. Slow ones get a
    smaller capture of the same kind: see the column "packets".
    """
    with tempfile.TemporaryDirectory(prefix="emtc-bench-") as made:
        folder = Path(made)
        chosen = _chosen(contenders(folder, stages=stages), only)
        inputs = {source: _sizes(source, packets, chosen, folder) for source in sources or captures.KINDS}
        results = _measure(inputs, chosen, repeat)
    missing = {one.name: one.missing for one in chosen if one.missing}
    if as_json:
        told = {"machine": describe(), "missing": missing, "results": [asdict(result) for result in results]}
        click.echo(json.dumps(told | {"targets": [asdict(target) for target in targets(results)]}))
    else:
        click.echo(", ".join(f"{name} {value}" for name, value in describe().items()))
        click.echo(markdown(results, missing, stages=stages))


def _chosen(known: list[Contender], only: tuple[str, ...]) -> list[Contender]:
    names = [one.name for one in known]
    if unknown := sorted(set(only) - set(names)):
        raise click.BadParameter(f"{unknown[0]} is none of {', '.join(names)}", param_hint="--only")
    return [one for one in known if not only or one.name in only]


def _sizes(source: str, packets: int, chosen: list[Contender], folder: Path) -> dict[float, Path]:
    """The capture at each share of its size that a contender asks for."""
    if source not in captures.KINDS:
        if not Path(source).is_file():
            raise click.BadParameter(f"{source} is neither a file nor one of {', '.join(captures.KINDS)}")
        return {1.0: Path(source).resolve()}
    made = {}
    for share in {one.share for one in chosen if not one.missing}:
        made[share] = folder / f"{source}-{share}.pcap"
        captures.write(made[share], captures.KINDS[source](max(10, round(packets * share))))
    return made


def _measure(inputs: dict[str, dict[float, Path]], chosen: list[Contender], repeat: int) -> list[Result]:
    runs: dict[tuple[str, str], list[Figures]] = {}
    failed: dict[tuple[str, str], str] = {}
    able = [one for one in chosen if not one.missing]
    rounds = [(source, one) for _ in range(repeat) for source in inputs for one in able]
    for source, one in track(rounds, "measuring", console=Console(stderr=True), transient=True):
        sizes = inputs[source]
        key = source, one.name
        if key in failed:
            continue
        try:
            runs.setdefault(key, []).append(run_one(one, sizes.get(one.share) or sizes[1.0]))
        except subprocess.SubprocessError as error:
            failed[key] = _reason(error)
    return [
        Result(*key, runs.get(key, []), failed.get(key, "")) for key in dict.fromkeys((s, o.name) for s, o in rounds)
    ]


def _reason(error: subprocess.SubprocessError) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        said = (error.stderr or b"").decode(errors="replace").strip()
        return said.splitlines()[-1] if said else f"exit code {error.returncode}"
    return "took too long"
