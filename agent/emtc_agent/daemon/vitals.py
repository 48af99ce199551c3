"""How the daemon is: one health message and one metrics file, of the same numbers."""

from __future__ import annotations

import logging
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from emtc_agent.addresses import time_text
from emtc_agent.daemon.engine import Engine
from emtc_agent.delivery import Link
from emtc_agent.delivery.traffic import Level, Traffic
from emtc_agent.health.metrics import Metric, write_metrics
from emtc_agent.health.process import own_process
from emtc_agent.sources.live import LiveCapture
from emtc_agent.sources.steady import SteadyTime
from emtc_agent.store import Database, Outbox
from emtc_contract.messages import Health

if TYPE_CHECKING:
    from emtc_agent.updates import Updater

_LOG = logging.getLogger(__name__)
_LEVELS = {Level.EVERYTHING: "everything", Level.DIGESTS: "digests", Level.CRITICAL: "critical"}
_COUNTERS = {
    "packets": "Packets seen.",
    "malformed": "Packets that could not be decoded.",
    "dropped": "Packets that the kernel dropped.",
    "freezes": "Times a ring was full.",
    "windows": "Windows closed.",
    "scored": "Windows scored.",
    "time_jumps": "Capture times that jumped.",
    "lost_messages": "Messages that expired, found no room or were damaged.",
    "refused_messages": "Messages that the broker refused.",
    "overrun_requests": "Commands that came too fast.",
    "clock_steps": "Times the wall clock was set.",
    "connections": "MQTT sessions.",
    "store_damaged": "Times the state file was damaged.",
}
_GAUGES = {
    "endpoints": "Devices seen.",
    "incidents_open": "Incidents that are open.",
    "rss_bytes": "Memory.",
    "uptime_s": "Since the start.",
    "cpu_s": "Processor time used.",
    "queued": "Messages that wait.",
    "queued_bytes": "Their size.",
    "month_bytes": "Traffic of the link in 30 days.",
}


class Vitals:
    """Collects numbers from all parts.

    Args:
        boot: Id of this run.
        database, outbox, traffic: Of the delivery.
        steady: The clock.
    """

    def __init__(
        self, boot: str, database: Database, outbox: Outbox, traffic: Traffic, steady: SteadyTime | None = None
    ) -> None:
        self._steady = steady or SteadyTime()
        self._boot, self._database, self._outbox, self._traffic = boot, database, outbox, traffic
        self._began_s = time.monotonic()

    def health(self, engine: Engine, capture: LiveCapture, link: Link | None, updater: Updater | None) -> Health:
        """The health message now."""
        stats, process, outbox = engine.pipeline.stats, own_process(), self._outbox
        losses = capture.losses()
        learner = engine.learner
        update = updater.state() if updater else {}
        return Health(
            ts=time_text(time.time_ns() // 1_000),
            boot=self._boot,
            packets=stats.packets,
            malformed=sum(stats.other.values()),
            dropped=losses["dropped by the kernel"],
            endpoints=stats.endpoints,
            windows=stats.windows,
            scored=engine.pipeline.scored,
            incidents_open=engine.pipeline.tracker.open,
            rss_bytes=process.rss_bytes,
            uptime_s=round(time.monotonic() - self._began_s, 1),
            cpu_s=process.cpu_s,
            freezes=losses["times the ring was full"],
            time_jumps=stats.time_jumps,
            clock_steps=self._steady.steps,
            queued=_waiting(outbox),
            queued_bytes=outbox.size_bytes,
            lost_messages=outbox.expired + outbox.crowded_out + outbox.garbled,
            refused_messages=link.refused if link else 0,
            overrun_requests=link.overrun if link else 0,
            connections=link.connections if link else 0,
            month_bytes=self._traffic.month_bytes,
            level=_LEVELS[self._traffic.level],  # type: ignore[arg-type]
            store_damaged=self._database.damaged,
            store_detached=self._database.detached,
            interfaces_missing=capture.missing,
            learning=_learning(learner.state().elapsed_s, learner.state().seconds)
            if learner and learner.active
            else "",
            drift=f"{engine.drift.ratio} times: {', '.join(engine.drift.features)}" if engine.drift else "",
            update=f"{update.get('phase', '')}" if update.get("phase") not in (None, "idle") else "",
        )


def _waiting(outbox: Outbox) -> int:
    try:
        return len(outbox) + outbox.unsaved
    except sqlite3.Error as error:
        _LOG.error("outbox: cannot be counted now: %s", error)
        return outbox.unsaved


def _learning(elapsed_s: float, seconds: float) -> str:
    return f"{elapsed_s:.0f} of {seconds:.0f} s"


def write_metrics_file(path: Path, health: Health) -> None:
    """The numbers of a health message, for Prometheus; a file that cannot be written is logged."""
    numbers = msgspec.to_builtins(health)
    metrics = [Metric(f"emtc_{name}_total", "counter", about, numbers[name]) for name, about in _COUNTERS.items()]
    metrics += [Metric(f"emtc_{name}", "gauge", about, numbers[name]) for name, about in _GAUGES.items()]
    try:
        write_metrics(path, metrics)
    except OSError as error:
        _LOG.warning("metrics: %s: %s", path, error.strerror or error)
