"""How the agent itself is doing: systemd's notifications, the watchdog, its own resources, a metrics file."""

from emtc_agent.health.metrics import Metric, render, write_metrics
from emtc_agent.health.notify import Notifier, watchdog_timeout_s
from emtc_agent.health.process import DiskSpace, ProcessHealth, SystemHealth, disk_space, own_process, system_health
from emtc_agent.health.watchdog import Watchdog

__all__ = [
    "DiskSpace",
    "Metric",
    "Notifier",
    "ProcessHealth",
    "SystemHealth",
    "Watchdog",
    "disk_space",
    "own_process",
    "render",
    "system_health",
    "watchdog_timeout_s",
    "write_metrics",
]
