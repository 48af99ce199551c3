"""The folder for all that outlives a restart: made, held, and the key in it."""

from __future__ import annotations

import secrets
from pathlib import Path

from emtc_agent.daemon.parts import Place
from emtc_agent.holding import hold
from emtc_agent.learning.device_key import DeviceKey
from emtc_agent.settings import Settings
from emtc_contract.errors import InputError


def state_folder(settings: Settings, place: Place) -> Path | None:
    """The folder, made if it is missing; None if none is set. Raises InputError."""
    if settings.state.folder is None:
        return None
    folder = place.beside / settings.state.folder
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror or error}") from None
    return folder


def keep_others_away(state: Path | None) -> int | None:
    """Hold the folder for this process; returns the descriptor that does. Raises InputError if another has it."""
    try:
        return None if state is None else hold(state)
    except BlockingIOError:
        raise InputError(f"{state}: another agent works with it") from None
    except OSError as error:
        raise InputError(f"{state}: {error.strerror or error}") from None


def hiding_key(state: Path | None) -> bytes:
    """The key of hashed addresses: the device's, so that hashes outlive a restart."""
    if state is None:
        return secrets.token_bytes(32)
    return DeviceKey.made(state / "device.key").mac(b"", "emtc-guard addresses")
