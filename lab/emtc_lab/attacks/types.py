"""All types of attack: a new file with ``@attack`` functions is found by itself."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from emtc_lab.attacks.base import ATTACKS

for _module in pkgutil.iter_modules([str(Path(__file__).parent)]):
    if _module.name not in ("__main__", "types"):
        importlib.import_module(f"emtc_lab.attacks.{_module.name}")

FAMILIES: dict[str, list[str]] = {}
"""Family -> its types."""
for _attack in ATTACKS.values():
    FAMILIES.setdefault(_attack.family, []).append(_attack.name)

__all__ = ["ATTACKS", "FAMILIES"]
