"""Real brokers for tests: the embedded one and mosquitto."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

from emtc_lab.broker import EmbeddedBroker

MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def embedded():
    """URL of the embedded broker."""
    with EmbeddedBroker() as broker:
        yield broker.url


@contextmanager
def mosquitto(folder, *lines, port=None):
    """URL of a mosquitto with further configuration lines (anonymous by default)."""
    port = port or free_port()
    access = [] if any(line.startswith("allow_anonymous") for line in lines) else ["allow_anonymous true"]
    config = folder / "mosquitto.conf"
    user = ["user root"] if os.geteuid() == 0 else []
    config.write_text("\n".join([f"listener {port} 127.0.0.1", *access, *user, *lines]) + "\n")
    with (folder / "mosquitto.log").open("wb") as log:
        process = subprocess.Popen([MOSQUITTO, "-c", config], stdout=log, stderr=log)
    try:
        until_listening(port, process)
        yield f"mqtt://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def until_listening(port, process):
    """Return once the port answers."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)  # there is no event for "a child listens"
    raise AssertionError(f"broker did not start: {process.poll()}")
