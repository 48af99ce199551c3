"""``emtc-lab``: record labelled traffic of real programs in own network namespaces."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from emtc_contract.errors import EmtcError, LabError
from emtc_lab.attacks.types import ATTACKS
from emtc_lab.devices.kinds import KINDS
from emtc_lab.overview import find, table
from emtc_lab.plan import make_plan
from emtc_lab.probe import default_targets, try_to_get_out
from emtc_lab.processes import require
from emtc_lab.run import Lab, record
from emtc_lab.safety import PARENT, own_namespace
from emtc_lab.scenario import Group, Scenario, load

_UNSHARE = ("setpriv", "--pdeathsig", "KILL", "unshare", "-nmpf", "--mount-proc", "--kill-child")
_AS_USER = ("--user", "--map-root-user")
_INTERRUPTED = 130


@click.group()
def main() -> None:
    """Record labelled traffic of real programs in own network namespaces."""


@main.command()
@click.argument("scenario", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="New folder.")
@click.option("--seed", type=int, default=1, show_default=True, help="Decides all that the scenario leaves open.")
@click.option("--minutes", type=click.FloatRange(0.1, 1440), help="Length, instead of the scenario's.")
@click.option("--benign", is_flag=True, help="Leave the attacks out.")
@click.option(
    "--style", "styles", type=click.Choice(["loud", "low"]), multiple=True, help="Attacks of this style only."
)
def run(
    scenario: Path, output: Path, seed: int, minutes: float | None, benign: bool, styles: tuple[str, ...]
) -> None:
    """Build the lab that SCENARIO.toml describes, let it live, attack it, and write capture.pcap and labels.csv."""
    with _one_line_errors():
        wanted = load(scenario)
        plan = make_plan(wanted, seed, minutes, () if benign else styles or None)
        if os.environ.get(PARENT) is None:
            sys.exit(_enter())
        record(wanted, plan, seed, output.resolve(), _say)


@main.command()
@click.option("--target", "targets", multiple=True, metavar="IP:PORT", help="What must not answer; may be repeated.")
def check(targets: tuple[str, ...]) -> None:
    """Build a small lab and try from each of its namespaces to reach this machine and its next hop."""
    with _one_line_errors():
        if os.environ.get(PARENT) is None:
            words = [word for target in targets or default_targets() for word in ("--target", target)]
            sys.exit(_enter("check", *words))
        site = Scenario(name="check", devices=(Group(kind="mqtt-sensor"), Group(kind="camera", link="wired")))
        with Lab(make_plan(site, 1)) as lab:
            try_to_get_out(lab.plan, targets, click.echo)


@main.command("list")
def show() -> None:
    """List kinds of devices and types of attacks."""
    for name, kind in KINDS.items():
        click.echo(f"device  {name:24} {_first_line(sys.modules[kind.__module__].__doc__)}")
    for name, attack in ATTACKS.items():
        click.echo(f"attack  {name:24} {attack.family}: {_first_line(attack.command.__doc__)}")


@main.command()
@click.argument("folders", type=click.Path(exists=True, file_okay=False, path_type=Path), nargs=-1, required=True)
def overview(folders: tuple[Path, ...]) -> None:
    """Tell what recordings FOLDERS hold: packets, seconds, devices, and runs of each attack."""
    with _one_line_errors():
        for line in table(find(list(folders))):
            click.echo(line)


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _say(line: str) -> None:
    click.echo(line, err=True)


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except EmtcError as error:
        click.echo(f"emtc-lab: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo("emtc-lab: interrupted; everything is taken down", err=True)
        sys.exit(_INTERRUPTED)


def _enter(*arguments: str) -> int:
    """Run a command of this program (by default this one) in user, network, mount and process namespaces of its own.

    Interrupts are passed on to it, as it is in another session; it takes everything down and ends. Should this
    process be killed, the kernel ends that one, and with it all processes of the lab.
    """
    require(["unshare", "setpriv", "ip"])
    command = [*_unshare(), sys.executable, "-m", "emtc_lab", *(arguments or sys.argv[1:])]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it, and so would its children
    process = subprocess.Popen(command, env={**os.environ, PARENT: own_namespace()}, start_new_session=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os.killpg(process.pid, signal.SIGINT))
    return process.wait()


def _unshare() -> tuple[str, ...]:
    """The command that makes namespaces: in a user namespace where the kernel allows it, else as root without."""
    complaint = ""
    for more in (_AS_USER, ()):
        probe = subprocess.run([*_UNSHARE, *more, "true"], capture_output=True, text=True, check=False)
        if not probe.returncode:
            return (*_UNSHARE, *more)
        complaint = complaint or probe.stderr.strip()
    raise LabError(f"network namespaces are not available here: {complaint[:200]}")
