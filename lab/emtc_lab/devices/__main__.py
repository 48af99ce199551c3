"""``python -m emtc_lab.devices SPEC.json``: live as one device until terminated; actions go to stdout."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import msgspec

from emtc_lab.devices import load_kind
from emtc_lab.devices.habits import Spec


def _tell(at: float, action: str) -> None:
    print(f"action {at:.3f} {action}", flush=True)  # noqa: T201 - read back by the lab


if __name__ == "__main__":
    spec = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Spec)
    kind = load_kind(spec.kind)
    if kind is None:
        sys.exit(f"no such kind of device: {spec.kind}")
    kind(spec).live(threading.Event().wait, _tell)
