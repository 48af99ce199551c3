"""Going through a plan in real time: disturbances, attacks and progress."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from emtc_lab.attacks.types import ATTACKS
from emtc_lab.labels import Label
from emtc_lab.plan import END_S, Event, Plan
from emtc_lab.processes import Processes
from emtc_lab.services.cloud import start_broker, start_cloud_dns
from emtc_lab.steps import Step

_TICK_S = 0.1
_PROGRESS_EVERY_S = 30.0
_LONGEST_OPTIONS = 300  # curl is handed hundreds of URLs


@dataclass
class _Running:
    step: Step
    process: subprocess.Popen[bytes]
    start_us: int
    until: float


@dataclass
class Conductor:
    """Carries out events and attacks; ``run`` returns when the plan's time is over.

    Attributes:
        plan: What happens.
        processes: Keeps the programs.
        work: Folder of server settings.
        resolvers: ``resolv.conf`` of each namespace.
        say: Takes progress lines.
        packets: Tells how many packets are recorded so far.
        labels: Attacks that took place as planned.
        void: Attacks whose tool failed.
    """

    plan: Plan
    processes: Processes
    work: Path
    resolvers: dict[str, Path]
    say: Callable[[str], None]
    packets: Callable[[], int]
    labels: list[Label] = field(default_factory=list)
    void: list[str] = field(default_factory=list)
    _attack: _Running | None = None

    def run(self) -> None:
        """Live through the plan."""
        begin = time.monotonic()
        events, steps = list(self.plan.events), list(self.plan.steps)
        free_at = told_at = 0.0
        wait = threading.Event().wait
        while (now := time.monotonic() - begin) < self.plan.seconds or self._attack or steps:
            while events and events[0].at_s <= now:
                self._disturb(events.pop(0), now)
            if self._attack and self._over(self._attack):
                free_at = now + self._finish(self._attack)
            if not self._attack and steps and now >= max(steps[0].at_s, free_at):
                self._start(steps.pop(0), now)
            if now - told_at >= _PROGRESS_EVERY_S:
                told_at = now
                self.processes.require_alive("emulator", "sniff")
                left = f", {len(steps)} attacks to come" if self.plan.steps else ""
                self.say(f"{now:6.0f} of {self.plan.seconds:.0f} s: {self.packets()} packets{left}")
            wait(_TICK_S)
        wait(max(begin + free_at + END_S - time.monotonic(), 0) if self.plan.steps else 0)

    def _disturb(self, event: Event, now: float) -> None:
        self.say(f"{now:6.0f} s  {event.name}")
        actions: dict[str, Callable[[], None]] = {
            "broker down": lambda: self.processes.end("service-broker"),
            "broker up": lambda: start_broker(self.processes, self.work),
            "dns down": lambda: self.processes.end("service-cloud-dns"),
            "dns up": lambda: start_cloud_dns(self.processes, self.work),
        }
        actions[event.name]()

    def _start(self, step: Step, now: float) -> None:
        self.say(f"{now:6.0f} s  {step.attack}, {step.style}: {' '.join(step.command)[:90]}")
        start_us = time.time_ns() // 1000
        name = f"attack-{step.attack}-{step.style}"
        process = self.processes.start(name, step.command, step.namespace, self.resolvers[step.namespace])
        self._attack = _Running(step, process, start_us, time.monotonic() + step.seconds)

    @staticmethod
    def _over(attack: _Running) -> bool:
        return attack.process.poll() is not None or time.monotonic() >= attack.until

    def _finish(self, attack: _Running) -> float:
        """End the tool if it still runs, label what it did; seconds to wait before the next."""
        step = attack.step
        code = attack.process.poll()
        self.processes.end(f"attack-{step.attack}-{step.style}")
        kind = ATTACKS[step.attack]
        if code is None or code in kind.ok:
            self.labels.append(_label(attack))
        else:
            self.void.append(f"{step.attack} {step.style}: exit code {code}")
            self.say(f"          {self.void[-1]}")
        self._attack = None
        return step.pause_s


def _label(attack: _Running) -> Label:
    step, kind = attack.step, ATTACKS[attack.step.attack]
    attacker = f"{step.attacker.ip};{step.attacker.mac}".strip(";") if step.attacker else ""
    return Label(
        start_us=attack.start_us,
        end_us=time.time_ns() // 1000,
        attacker=attacker,
        victim=";".join(step.victims),
        family=kind.family,
        type=step.attack,
        style=step.style,
        forged="yes" if kind.forged else "no",
        tool=_tool(step.command),
        options=" ".join(step.command[1:]).replace(sys.executable, "python3")[:_LONGEST_OPTIONS],
    )


def _tool(command: tuple[str, ...]) -> str:
    """The program; for the lab's own clients their name."""
    return command[4] if "emtc_lab.attacks" in command else Path(command[0]).name
