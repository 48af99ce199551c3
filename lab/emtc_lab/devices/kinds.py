"""All kinds of devices: a new file with a ``Device`` subclass is found by itself."""

from __future__ import annotations

import pkgutil
from pathlib import Path

from emtc_lab.devices import load_kind
from emtc_lab.devices.base import Device

_names = sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
KINDS: dict[str, type[Device]] = {
    name: kind for name in _names if name not in ("--main--", "kinds") and (kind := load_kind(name))
}
"""Name of a kind -> its class."""
