"""What tshark makes of a capture."""

from __future__ import annotations

import subprocess
from pathlib import Path


def fields(capture: Path, *names: str, only: str = "") -> list[list[str]]:
    """Values of these fields, a row per packet that passes the display filter."""
    wanted = [word for name in names for word in ("-e", name)]
    command = ["tshark", "-r", capture, "-T", "fields", *wanted, "-Y", only]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split("\t") for line in told.splitlines()]
