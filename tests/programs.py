"""Running the installed programs as a user does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent


def run(program: str, *arguments, stdin: bytes | None = None, env=None, cwd=None, timeout_s: float = 120):
    """Run a console script to its end; output as text."""
    return subprocess.run(
        [BIN / program, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        env=env,
        cwd=cwd,
        timeout=timeout_s,
        check=False,
    )


def lines(octets: bytes) -> list[str]:
    """Non-empty lines."""
    return [line for line in octets.decode().splitlines() if line.strip()]


def assert_one_line_error(done, *said: str, code: int | None = None):
    """A clear failure: one line on stderr that says what and where, no traceback."""
    told = lines(done.stderr)
    assert done.returncode not in (0, 1, -11) if code is None else done.returncode == code, done.stderr.decode()
    assert len(told) == 1, done.stderr.decode()
    for part in said:
        assert part in told[0]
