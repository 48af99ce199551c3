"""``emtc-lab``: record labelled traffic of real programs in own network namespaces."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from emtc_contract.errors import EmtcError, LabError
from emtc_lab.processes import require
from emtc_lab.record import Run
from emtc_lab.record import record as record_run

_INSIDE = "EMTC_LAB_INSIDE"
_UNSHARE = ("unshare", "-Urnmpf", "--mount-proc", "--kill-child")


@click.group()
def main() -> None:
    """Record labelled traffic of real programs in own network namespaces."""


@main.command()
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="New folder.")
@click.option("--seed", type=int, default=1, show_default=True, help="Decides devices, timing and attacks.")
@click.option("--minutes", type=click.FloatRange(0.1, 240), default=10, show_default=True, help="Least length.")
@click.option(
    "--attacks",
    type=click.Choice(["none", "demo", "all"]),
    default="none",
    show_default=True,
    help="Schedule.",
)
@click.option("--devices", type=click.IntRange(2, 60), default=8, show_default=True, help="Devices on the LAN.")
def record(output: Path, seed: int, minutes: float, attacks: str, devices: int) -> None:
    """Build the lab, let its devices live for a while, attack them, and write capture.pcap and labels.csv."""
    try:
        if os.environ.get(_INSIDE) != "1":
            sys.exit(_enter())
        record_run(Run(seed, minutes, attacks, devices), output.resolve(), lambda line: click.echo(line, err=True))
    except EmtcError as error:
        click.echo(f"emtc-lab: {error}", err=True)
        sys.exit(error.exit_code)


def _enter() -> int:
    """Run this same command in user, network, mount and process namespaces of its own."""
    require(["unshare", "ip"])
    probe = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        raise LabError(f"network namespaces are not available here: {probe.stderr.strip()[:200]}")
    command = [*_UNSHARE, sys.executable, "-m", "emtc_lab", *sys.argv[1:]]
    try:
        return subprocess.call(command, env={**os.environ, _INSIDE: "1"})
    except KeyboardInterrupt:
        return 130
