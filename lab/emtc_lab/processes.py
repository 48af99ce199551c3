"""Starting programs inside namespaces, and ending exactly those."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from emtc_contract.errors import LabError

PACKAGES = {
    "ip": "iproute2",
    "ethtool": "ethtool",
    "unshare": "util-linux",
    "setpriv": "util-linux",
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
    "udhcpc": "udhcpc",
    "nmap": "nmap",
    "hping3": "hping3",
    "hydra": "hydra",
    "arpspoof": "dsniff",
    "slowhttptest": "slowhttptest",
    "ab": "apache2-utils",
}
"""Program -> Debian package."""

_SYSTEM_PATH = "/usr/sbin:/sbin"


def require(programs: Sequence[str]) -> None:
    """Raise LabError naming the Debian packages of programs that are missing."""
    missing = sorted({PACKAGES[program] for program in programs if not _which(program)})
    if missing:
        raise LabError(f"the lab needs Debian packages: {' '.join(missing)}")


def _which(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path=_SYSTEM_PATH)


def run(*command: str) -> str:
    """Run a short command to its end; returns its output, raises LabError with its complaint."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=_environment())
    if done.returncode:
        raise LabError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[:300]}")
    return done.stdout


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:{_SYSTEM_PATH}"}


class Processes:
    """The long-running children of one lab, each with its own process group; ``stop`` ends them all."""

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self, name: str, command: Sequence[str], namespace: str | None = None, resolver: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program; its output goes to ``<log_dir>/<name>.log``.

        Args:
            name: Name of the program in this lab; a second start under one name adds to its log.
            command: Program and arguments.
            namespace: Network namespace, or None for the lab's own.
            resolver: What it finds at ``/etc/resolv.conf`` (``ip netns exec`` gives it a mount namespace).
        """
        enter = ["ip", "netns", "exec", namespace] if namespace else []
        if resolver:
            enter += ["sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(resolver)]
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                [*enter, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._log_dir,
                start_new_session=True,
                env=_environment(),
            )
        self._running[name] = process
        return process

    def log(self, name: str) -> Path:
        """Where a program's output goes."""
        return self._log_dir / f"{name}.log"

    def wait_for(self, name: str, word: bytes, wait_s: float) -> None:
        """Wait until a program has said a word; raises LabError if it ends or takes too long."""
        deadline = time.monotonic() + wait_s
        while word not in self.log(name).read_bytes():
            if self._running[name].poll() is not None or time.monotonic() > deadline:
                raise LabError(f"{name} does not start: {self.log(name).read_text(errors='replace')[-300:].strip()}")
            time.sleep(0.02)

    def require_alive(self, *prefixes: str) -> None:
        """Raise LabError if a program whose name starts like this has ended by itself."""
        if gone := [name for name in self.dead() if name.startswith(prefixes)]:
            told = self.log(gone[0]).read_text(errors="replace")[-300:].strip()
            raise LabError(f"{', '.join(gone)} ended during the run: {told}")

    def dead(self) -> list[str]:
        """Names of programs that have ended by themselves."""
        return [name for name, process in self._running.items() if process.poll() is not None]

    def end(self, name: str, wait_s: float = 5.0) -> None:
        """End one program and its children: ask first, then insist."""
        process = self._running.pop(name)
        _signal(process, signal.SIGTERM)
        try:
            process.wait(timeout=wait_s)
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
            process.wait()

    def stop(self) -> None:
        """End every child, last started first."""
        for process in self._running.values():
            _signal(process, signal.SIGTERM)
        for name in reversed(list(self._running)):
            self.end(name)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        process.poll()
