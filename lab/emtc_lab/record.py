"""One recording: build the lab, let it live, attack it, label what was seen, take everything down."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from emtc_contract.errors import LabError
from emtc_lab.attacks import ATTACKS, MAX_SECONDS
from emtc_lab.processes import PACKAGES, Processes, require, run
from emtc_lab.schedule import DEMO_END_S, PAUSE_S, QUIET_START_S, Step, attack_steps, device_kinds
from emtc_lab.services import start_services
from emtc_lab.topology import (
    ATTACKER,
    CLOUD_IP,
    GATEWAY,
    MASTER,
    OUTSIDE_IP,
    Host,
    build,
    device,
    refuse_a_way_out,
)
from emtc_lab.verify import Capture

SNAPLEN = 128
LEAST_ATTACK_PACKETS = 5


@dataclass(frozen=True)
class Label:
    """One row of ``labels.csv``; ``attacker`` and ``victim`` are ``IP;MAC``, ``IP`` or empty."""

    start_us: int
    end_us: int
    attacker: str
    victim: str
    family: str
    type: str
    tool: str
    options: str


@dataclass(frozen=True)
class Run:
    """What to record."""

    seed: int
    minutes: float
    attacks: str
    devices: int


def record(wanted: Run, out: Path, say: Callable[[str], None]) -> None:
    """Record into ``out``; must already run in namespaces of its own (see ``cli.py``).

    Args:
        wanted: What to record.
        out: New folder for ``capture.pcap``, ``labels.csv`` and ``run.toml``.
        say: Takes progress lines.

    Raises:
        LabError: The lab cannot be built, or ``out`` already holds a recording.
    """
    require(list(PACKAGES))
    if (out / "capture.pcap").exists():
        raise LabError(f"{out}: already holds a recording")
    out.mkdir(parents=True, exist_ok=True)
    refuse_a_way_out()
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    hosts = [device(number) for number in range(1, wanted.devices + 1)]
    work = Path(tempfile.mkdtemp(prefix="emtc-lab-"))
    processes = Processes(work)
    try:
        build([*hosts, MASTER, ATTACKER])
        _start_capture(processes, work)
        start_services(processes, work)
        _start_devices(processes, wanted, hosts)
        labels = _live(wanted, processes, say)
        time.sleep(1)
        processes.stop()
        shutil.copyfile(work / "capture.pcap", out / "capture.pcap")
        _keep_logs(work, out)
    finally:
        processes.stop()
        shutil.rmtree(work, ignore_errors=True)
    _write(wanted, hosts, labels, out, say)


def _start_capture(processes: Processes, work: Path) -> None:
    recorder = [sys.executable, "-m", "emtc_lab.sniff", "br0", str(SNAPLEN), str(work / "capture.pcap")]
    process = processes.start("sniff", recorder, GATEWAY)
    deadline = time.monotonic() + 10
    while b"listening" not in (work / "sniff.log").read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            raise LabError(f"the recorder does not start: {(work / 'sniff.log').read_text()[-200:]}")
        time.sleep(0.05)


def _start_devices(processes: Processes, wanted: Run, hosts: list[Host]) -> None:
    kinds = device_kinds(wanted.seed, wanted.devices)
    meters = [host.ip for host, kind in zip(hosts, kinds, strict=True) if kind == "modbus_meter"]
    brute = {step.victim for step in _steps(wanted) if step.attack == "telnet_brute_force"}
    python = [sys.executable, "-m"]
    for number, (host, kind) in enumerate(zip(hosts, kinds, strict=True), start=1):
        seed = str(wanted.seed * 1000 + number)
        if kind == "modbus_meter":
            server = [*python, "emtc_lab.servers", "modbus", host.ip, "502"]
            processes.start(f"meter-{host.name}", server, host.name)
        if number in brute:
            processes.start(f"login-{host.name}", [*python, "emtc_lab.servers", "login", host.ip, "23"], host.name)
        command = [*python, "emtc_lab.devices", kind, seed, f"{kind}-{number}"]
        processes.start(f"device-{host.name}", command, host.name)
    master = [*python, "emtc_lab.devices", "master", str(wanted.seed * 1000), "master", *meters]
    processes.start("device-master", master, MASTER.name)


def _keep_logs(work: Path, out: Path) -> None:
    """All programs' output beside the capture, for whoever wonders."""
    logs = sorted(work.glob("*.log"))
    text = "".join(f"== {log.stem}\n{log.read_text(errors='replace')[-2000:]}\n" for log in logs)
    (out / "programs.log").write_text(text)


def _steps(wanted: Run) -> list[Step]:
    return attack_steps(wanted.seed, wanted.devices, wanted.attacks)


def _live(wanted: Run, processes: Processes, say: Callable[[str], None]) -> list[Label]:
    """Wait through the run, attacking on schedule."""
    begin = time.monotonic()
    wait = threading.Event().wait
    labels = []
    earliest = QUIET_START_S
    for step in _steps(wanted):
        wait(max(begin + max(step.at_s, earliest) - time.monotonic(), 0))
        say(f"{time.monotonic() - begin:6.0f} s  {step.attack}")
        labels.append(_attack(step, processes))
        earliest = time.monotonic() - begin + PAUSE_S
    rest = DEMO_END_S if labels else 0
    wait(max(begin + wanted.minutes * 60 - time.monotonic(), rest))
    return labels


def _attack(step: Step, processes: Processes) -> Label:
    attack = ATTACKS[step.attack]
    bot, victim = device(step.bot), device(step.victim)
    origin = {"lan": ATTACKER, "device": bot, "outside": None}[attack.origin]
    namespace = origin.name if origin else "outside"
    target = {"device": victim.ip, "cloud": CLOUD_IP, "lan": ""}[attack.victim]
    command = [part.format(victim=target) for part in attack.command]
    start_us = time.time_ns() // 1000
    process = processes.start(f"attack-{step.attack}", command, namespace)
    try:
        process.wait(timeout=MAX_SECONDS)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()
    spoofed = "--rand-source" in attack.command
    attacker = f"{origin.ip};{origin.mac}" if origin else "" if spoofed else OUTSIDE_IP
    return Label(
        start_us=start_us,
        end_us=time.time_ns() // 1000,
        attacker=attacker,
        victim=f"{victim.ip};{victim.mac}" if attack.victim == "device" else target,
        family=attack.family,
        type=step.attack,
        tool=Path(attack.command[0]).name,
        options=" ".join(command[1:]),
    )


def _write(wanted: Run, hosts: list[Host], labels: list[Label], out: Path, say: Callable[[str], None]) -> None:
    """Keep the labels that the capture bears out; describe the run."""
    capture = Capture.read(out / "capture.pcap")
    kept = []
    for label in labels:
        address = (label.attacker or label.victim).split(";")[0]
        seen = capture.count(address, label.start_us, label.end_us)
        if seen >= LEAST_ATTACK_PACKETS:
            kept.append(label)
        else:
            say(f"label dropped: {label.type} left only {seen} packets of {address}")
    with (out / "labels.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, list(Label.__dataclass_fields__))
        rows.writeheader()
        rows.writerows(asdict(label) for label in kept)
    kinds = ", ".join(f'"{kind}"' for kind in device_kinds(wanted.seed, wanted.devices))
    (out / "run.toml").write_text(
        f'seed = {wanted.seed}\nminutes = {wanted.minutes}\nattacks = "{wanted.attacks}"\n'
        f"devices = [{kinds}]\npackets = {capture.packets}\nseconds = {capture.seconds:.1f}\n"
        f"labels = {len(kept)}\nhosts = {len(hosts) + 2}\nsnaplen = {SNAPLEN}\n"
    )
    say(f"{out}: {capture.packets} packets in {capture.seconds:.0f} s, {len(kept)} attacks labelled")
