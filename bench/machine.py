"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from bench.contenders import PEERS_PYTHON

_LIST_VERSIONS = """
from importlib.metadata import distributions
for one in distributions():
    print(one.name, one.version)
"""
_PEERS = ("nfstream", "dpkt", "scapy", "cicflowmeter")


def describe() -> dict[str, str]:
    """Processor, system and versions."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": version("numpy"),
        **_peer_versions(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _peer_versions() -> dict[str, str]:
    if not PEERS_PYTHON.exists():
        return {}
    listed = subprocess.run([PEERS_PYTHON, "-c", _LIST_VERSIONS], capture_output=True, text=True, check=True).stdout
    versions = dict(line.split() for line in listed.splitlines())
    return {name: versions[name] for name in _PEERS if name in versions}
