"""Telling systemd how the service is doing: datagrams to the socket that NOTIFY_SOCKET names.

See sd_notify(3) and sd_watchdog_enabled(3). Without systemd nothing is sent, and a socket that does not work is
logged once: a service must not fail because nobody listens.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping

_log = logging.getLogger(__name__)
_SEND_TIMEOUT_S = 1.0
_MOST_STATUS_CHARACTERS = 200


class Notifier:
    """Sends notifications; every method says whether it was sent.

    Args:
        environ: Where NOTIFY_SOCKET is looked up.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._complained = False

    def ready(self) -> bool:
        """Starting, or reloading, is done."""
        return self._send("READY=1")

    def reloading(self) -> bool:
        """The configuration is being read again; ``ready`` has to follow."""
        return self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1_000}")

    def stopping(self) -> bool:
        """The service is about to end."""
        return self._send("STOPPING=1")

    def status(self, text: str) -> bool:
        """One line for ``systemctl status``."""
        return self._send(f"STATUS={' '.join(text.split())[:_MOST_STATUS_CHARACTERS]}")

    def watchdog(self) -> bool:
        """The service is alive; ``Watchdog`` says when to call this."""
        return self._send("WATCHDOG=1")

    def _send(self, message: str) -> bool:
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.settimeout(_SEND_TIMEOUT_S)
                channel.sendto(message.encode("utf-8", "replace"), self._address)
        except (OSError, ValueError) as error:
            if not self._complained:
                _log.warning("systemd cannot be notified: %s", error)
            self._complained = True
            return False
        return True


def _address(text: str) -> str:
    """What a socket calls it: "@" stands for the zero byte of abstract sockets. Empty if it is of another kind."""
    if text.startswith("@"):
        return "\0" + text[1:]
    if text and not text.startswith("/"):
        _log.warning("systemd cannot be notified: NOTIFY_SOCKET is neither a path nor an abstract socket")
        return ""
    return text


def watchdog_timeout_s(environ: Mapping[str, str] = os.environ, pid: int | None = None) -> float | None:
    """After how many seconds without a ping systemd restarts this process; None if it does not watch it.

    Args:
        environ: Where WATCHDOG_USEC and WATCHDOG_PID are looked up.
        pid: This process; another one's watchdog is not ours to ping.
    """
    asked, owner = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not asked:
        return None
    try:
        timeout_us, owner_pid = int(asked), int(owner or 0)
    except ValueError:
        _log.warning("the watchdog stays off: WATCHDOG_USEC or WATCHDOG_PID is not a number")
        return None
    if timeout_us <= 0 or owner_pid not in (0, os.getpid() if pid is None else pid):
        return None
    return timeout_us / 1_000_000
