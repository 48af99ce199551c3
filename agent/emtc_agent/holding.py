"""One agent per state folder, and a way to see that one is at work: a lock that ends with its process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

_NAME = "lock"


def hold(folder: Path) -> int:
    """Take a state folder until this process ends; returns the descriptor that holds it.

    Raises:
        BlockingIOError: Another process has it.
        OSError: As the system says.
    """
    return _lock(folder, os.O_CREAT)


def is_held(folder: Path) -> bool:
    """Whether an agent works with a state folder now; leaves no trace."""
    try:
        os.close(_lock(folder, 0))
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _lock(folder: Path, create: int) -> int:
    file = os.open(folder / _NAME, os.O_RDWR | os.O_CLOEXEC | create, 0o640)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file
