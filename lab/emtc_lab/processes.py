"""Starting programs inside namespaces, and ending exactly those."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from emtc_contract.errors import LabError

PACKAGES = {
    "ip": "iproute2",
    "ethtool": "ethtool",
    "unshare": "util-linux",
    "mosquitto": "mosquitto",
    "mosquitto_pub": "mosquitto-clients",
    "coap-server-notls": "libcoap3-bin",
    "coap-client-notls": "libcoap3-bin",
    "dnsmasq": "dnsmasq-base",
    "chronyd": "chrony",
    "ntpdig": "ntpsec-ntpdig",
    "dig": "dnsutils",
    "curl": "curl",
    "openssl": "openssl",
    "ping": "iputils-ping",
    "nmap": "nmap",
    "hping3": "hping3",
}
"""Program -> Debian package."""


def require(programs: Sequence[str]) -> None:
    """Raise LabError naming the Debian packages of programs that are missing."""
    missing = sorted({PACKAGES[program] for program in programs if not _which(program)})
    if missing:
        raise LabError(f"the lab needs Debian packages: {' '.join(missing)}")


def _which(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def run(*command: str) -> str:
    """Run a short command to its end; returns its output, raises LabError with its complaint."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise LabError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[:300]}")
    return done.stdout


class Processes:
    """The long-running children of one lab; ``stop`` ends them all, last started first."""

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, command: Sequence[str], namespace: str) -> subprocess.Popen[bytes]:
        """Start a program inside a namespace; its output goes to ``<log_dir>/<name>.log``."""
        log = (self._log_dir / f"{name}.log").open("wb")
        with log:
            process = subprocess.Popen(
                ["ip", "netns", "exec", namespace, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._running.append(process)
        return process

    def stop(self) -> None:
        """End every child: ask first, then insist."""
        for process in reversed(self._running):
            process.terminate()
        for process in reversed(self._running):
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()
