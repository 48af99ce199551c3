"""``scripts/bench live``: the daemon on a veth pair at a set rate: packets, drops, memory, processor time.

Everything happens in a network namespace of its own without a way out, for as long as was asked.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from bench.captures import KINDS, write
from bench.machine import describe

HERE = Path(__file__).parent
_IDLE_S = 20.0
_SAMPLE_S = 0.25


@click.command()
@click.option("--kind", type=click.Choice(list(KINDS)), default="iot", show_default=True, help="Traffic.")
@click.option("--rate", default=500_000, show_default=True, help="Packets a second.")
@click.option("--seconds", default=60.0, show_default=True, help="How long.")
@click.option("--packets", default=1_000_000, show_default=True, help="Different packets, sent over and over.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def live(kind: str, rate: int, seconds: float, packets: int, as_json: bool) -> None:
    """Live capture with features, scores and incidents, the default bundle and a state folder."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise click.ClickException("a C compiler is needed for the sender: install gcc and libc6-dev")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([compiler, "-O2", "-o", folder / "blast", HERE / "blast.c"], check=True)
        write(folder / "traffic.pcap", KINDS[kind](packets))
        inside = ["unshare", "-Urnmpf", "--mount-proc", "--kill-child", sys.executable, "-m", "bench.live"]
        command = [*inside, str(folder), str(rate), str(seconds)]
        done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(done.stderr[-2_000:])
    measured = json.loads(done.stdout)
    if as_json:
        click.echo(json.dumps({"kind": kind, "rate": rate, **measured, "machine": describe()}))
        return
    click.echo(f"{kind}, {rate:,} packets/s wanted, {describe()['processor']}\n\n|   |   |\n|---|---|")
    for what, value in measured.items():
        click.echo(f"| {what} | {value:,} |")


def inside(folder: Path, rate: str, seconds: str) -> dict[str, float]:
    """Play it in this namespace."""
    for command in ("link set lo up", "link add in type veth peer name out", "link set in up", "link set out up"):
        subprocess.run(["ip", *command.split()], check=True)
    for which in ("all", "default"):
        Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("1")
    program = str(Path(sys.executable).with_name("emtc-agent"))
    agent = [program, "run", "-i", "in", "--json", "--state", str(folder / "state")]
    with (folder / "told.json").open("wb") as told:
        daemon = subprocess.Popen(agent, stdout=told, stderr=subprocess.PIPE)
    assert daemon.stderr is not None
    while b"watching" not in (line := daemon.stderr.readline()):
        if not line:
            raise SystemExit("the agent did not start")
    idle_s = _cpu_s(daemon.pid)
    time.sleep(_IDLE_S)
    idle_s = (_cpu_s(daemon.pid) - idle_s) / _IDLE_S
    sender = subprocess.Popen(
        [folder / "blast", "out", folder / "traffic.pcap", rate, seconds], stdout=subprocess.PIPE
    )
    busy_s, memory = _cpu_s(daemon.pid), []
    while sender.poll() is None:
        memory.append(_rss(daemon.pid))
        time.sleep(_SAMPLE_S)
    busy_s = _cpu_s(daemon.pid) - busy_s
    sent = json.loads(sender.communicate()[0])
    time.sleep(3)
    daemon.send_signal(signal.SIGTERM)
    daemon.communicate()
    summary = json.loads((folder / "told.json").read_text().splitlines()[-1])["summary"]
    return {
        "sent": sent["sent"],
        "sent/s": round(sent["sent"] / sent["seconds"]),
        "seen": summary["packets"],
        "dropped by the kernel": summary["dropped by the kernel"],
        "windows": summary["windows"],
        "scored": summary["scored"],
        "incidents": summary["incidents"],
        "peak RSS, MB": round(max(memory) / 1e6, 1),
        "RSS after a minute, MB": round(memory[min(len(memory) - 1, int(60 / _SAMPLE_S))] / 1e6, 1),
        "RSS at the end, MB": round(memory[-1] / 1e6, 1),
        "cores while busy": round(busy_s / sent["seconds"], 3),
        "cores while idle": round(idle_s, 4),
    }


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    print(json.dumps(inside(Path(sys.argv[1]), *sys.argv[2:4])))
