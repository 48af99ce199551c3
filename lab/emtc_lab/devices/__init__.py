"""Kinds of devices: one file each, named like the kind. ``kinds.py`` knows all of them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emtc_lab.devices.base import Device


def load_kind(name: str) -> type[Device] | None:
    """The class of one kind, or None where its file holds none; loads the libraries of that kind only."""
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    found = [value for value in vars(module).values() if isinstance(value, type) and vars(value).get("kind") == name]
    return found[0] if found else None
