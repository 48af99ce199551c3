"""One run: build the lab, let it live, attack it, record it, take everything down."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from emtc_contract.errors import LabError
from emtc_lab.conduct import Conductor
from emtc_lab.devices.personality import PERSONALITIES
from emtc_lab.link import PROFILES
from emtc_lab.overview import LOCK
from emtc_lab.plan import Plan
from emtc_lab.processes import PACKAGES, Processes, require, run
from emtc_lab.report import write_lock, write_results
from emtc_lab.safety import refuse_used_namespace, refuse_way_out
from emtc_lab.scenario import Scenario
from emtc_lab.services.cloud import start_services
from emtc_lab.site import SERVICES
from emtc_lab.topology import BRIDGE, CLOUD, MODEM, OUTSIDE, connect, make_namespaces, sysctl, wait_until_up
from emtc_lab.verify import RECORD_HEADER
from emtc_lab.views import write_gtpu

_WORK = Path("/run/emtc-lab")
_WAIT_S = 20.0
_CAPTURE = "capture.pcap"
_PART = f"{_CAPTURE}.part"
Say = Callable[[str], None]


def record(scenario: Scenario, plan: Plan, seed: int, out: Path, say: Say) -> None:
    """Record a run into ``out``; must already be inside namespaces of its own (see ``cli.py``).

    Args:
        scenario: The site.
        plan: What happens, made from it and the seed.
        seed: Goes into the lock file.
        out: Folder for ``capture.pcap``, ``labels.csv``, ``actions.csv``, ``scenario.lock.toml``, ``summary.toml``
            and ``programs.log``; the other views have a folder each below it.
        say: Takes progress lines.

    Until the run is complete its captures are called ``capture.pcap.part``: a capture that stands beside no labels
    must not pass for a benign one.

    Raises:
        LabError: The lab cannot be built or falls apart, or ``out`` already holds a recording.
    """
    if (out / LOCK).exists() or any(out.glob("*.pcap*")):
        raise LabError(f"{out}: already holds a recording")
    with Lab(plan) as lab:
        say(f"{scenario.name}: {len(plan.specs)} devices on {plan.site.network}, {plan.seconds:.0f} s, seed {seed}")
        out.mkdir(parents=True, exist_ok=True)
        write_lock(out / LOCK, scenario, seed, plan)
        recordings = lab.start_recorders(scenario, out)
        say("recording; devices start")
        lab.start_devices()
        conductor = Conductor(plan, lab.processes, _WORK, lab.resolvers, say, lambda: _packets(recordings))
        lab.mark_begin()
        conductor.run()
        failed = lab.processes.dead()
        lab.processes.stop()
        _keep_views(scenario, plan, out)
        write_results(out, _WORK, plan, conductor, failed, say)


class Lab:
    """Namespaces, links and servers of a plan; a context manager that removes all of it.

    Attributes:
        processes: Its programs.
        resolvers: ``resolv.conf`` of each namespace in which clients run.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.processes = Processes(_WORK)
        self.resolvers: dict[str, Path] = {}
        self._emulator = 0

    def __enter__(self) -> Lab:
        require(list(PACKAGES))
        refuse_used_namespace()
        run("mount", "-t", "tmpfs", "tmpfs", "/run")
        _WORK.mkdir(mode=0o755)
        try:
            self._build()
        except BaseException:
            self.processes.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.processes.stop()

    def _build(self) -> None:
        site, hosts = self.plan.site, [*self.plan.hosts, self.plan.site.attacker]
        make_namespaces(site, hosts)
        for spec in self.plan.specs:
            settings = PERSONALITIES[spec.personality.firmware].sysctls
            sysctl(spec.name, {f"net.ipv4.{key}": value for key, value in settings.items()})
        rng = random.Random(f"{self.plan.specs[0].seed} links")
        for namespace in (site.attacker.name, OUTSIDE):
            sysctl(namespace, {"net.ipv4.ip_default_ttl": str(rng.choice([64, 128, 255, rng.randint(45, 250)]))})
        links = [*zip(self.plan.hosts, self.plan.profiles, self.plan.outages, strict=True)]
        links.append((site.attacker, PROFILES["wired"], ()))
        self._emulator = connect(site, links, rng, self.processes, _WORK)
        refuse_way_out(site.gateway.name, site.gateway.ip)
        self._write_resolvers()
        start_services(self.processes, _WORK, site, list(self.plan.hosts))

    def _write_resolvers(self) -> None:
        _make_target(Path("/etc/resolv.conf"))
        gateway, cloud = self.plan.site.gateway.ip, SERVICES["dns"]
        servers = {spec.name: PERSONALITIES[spec.personality.firmware].resolver for spec in self.plan.specs}
        for name in (*servers, self.plan.site.attacker.name, OUTSIDE, CLOUD):
            at_gateway = servers.get(name, "cloud" if name in (OUTSIDE, CLOUD) else "gateway") == "gateway"
            self.resolvers[name] = _WORK / f"resolv-{name}.conf"
            self.resolvers[name].write_text(f"nameserver {gateway if at_gateway else cloud}\noptions timeout:3\n")

    def start_recorders(self, scenario: Scenario, out: Path) -> list[Path]:
        """Record bridge and modem, as the scenario's views need them; returns the files."""
        wait_until_up(self.plan.site)
        wanted = {BRIDGE: out / _PART}
        if set(scenario.views) != {"ethernet"}:
            wanted[MODEM] = out / "raw-ip" / _PART
        for interface, file in wanted.items():
            file.parent.mkdir(exist_ok=True)
            command = [sys.executable, "-m", "emtc_lab.sniff", interface, str(scenario.snaplen), str(file)]
            self.processes.start(f"sniff-{interface}", command, self.plan.site.gateway.name)
            self.processes.wait_for(f"sniff-{interface}", b"listening", _WAIT_S)
        return list(wanted.values())

    def start_devices(self) -> None:
        """Start every device's life."""
        for spec in self.plan.specs:
            file = _WORK / f"{spec.name}.json"
            file.write_bytes(msgspec.json.encode(spec))
            command = [sys.executable, "-m", "emtc_lab.devices", str(file)]
            self.processes.start(f"device-{spec.name}", command, spec.name, self.resolvers[spec.name])

    def mark_begin(self) -> None:
        """Link outages count from now."""
        os.kill(self._emulator, signal.SIGUSR1)


def _make_target(path: Path) -> None:
    """Give a symbolic link into the emptied /run something to point at, so that it can be mounted over."""
    target = path.resolve()
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()


def _keep_views(scenario: Scenario, plan: Plan, out: Path) -> None:
    for part in sorted(out.rglob(_PART)):
        part.rename(part.with_name(_CAPTURE))
    raw = out / "raw-ip"
    if "gtp-u" in scenario.views:
        (out / "gtp-u").mkdir()
        devices = [spec.ip for spec in plan.specs]
        write_gtpu(raw / _CAPTURE, out / "gtp-u" / _CAPTURE, devices, scenario.snaplen)
    if raw.exists() and "raw-ip" not in scenario.views:
        shutil.rmtree(raw)
    if "ethernet" not in scenario.views:
        (out / _CAPTURE).unlink()


def _packets(recordings: list[Path]) -> int:
    """About how many packets are recorded, from the size of the first file."""
    return recordings[0].stat().st_size // (RECORD_HEADER.size + 80)
