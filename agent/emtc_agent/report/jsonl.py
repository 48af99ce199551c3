"""JSON lines: one alert per line, as it arises, then one summary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

import msgspec

from emtc_contract.messages import Alert, encode


class JsonLines:
    """Writes to a text stream and flushes each line, so that a reader in a pipe sees it at once."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def publish(self, alert: Alert) -> None:
        """Write one alert."""
        self._write(encode(alert))

    def summary(self, counters: Mapping[str, int | float]) -> None:
        """Write ``{"summary": {...}}``."""
        self._write(msgspec.json.encode({"summary": dict(counters)}))

    def _write(self, line: bytes) -> None:
        self._out.write(line.decode() + "\n")
        self._out.flush()
