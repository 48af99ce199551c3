"""Lab recordings with their attacks, as material for judging."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emtc_agent.feature_files import FeatureRows
from emtc_agent.packets import Bool, Int64
from emtc_agent.pipeline import extract_capture
from emtc_contract.errors import FeatureFileError
from emtc_contract.schema import FeatureSchema
from emtc_trainer.data import attacks_in, capture_of, join, repeatable_extractor, short_name
from emtc_trainer.labels import Attack, holding, named

AFTER_US = 5_000_000
"""An attack's evidence may come so long after its last packet."""

_ECHO_US = 30_000_000
_LOCK = "scenario.lock.toml"
_US_PER_HOUR = 3.6e9


@dataclass(frozen=True, slots=True)
class Instance:
    """One attack of a run.

    Attributes:
        name: ``"family/type"``.
        held: (K,) rows that hold its packets.
        during: (D,) rows of the endpoints involved, from its first packet to ``AFTER_US`` behind the last, in the
            order in which their windows closed.
        first_us: Time of its first packet.
    """

    name: str
    held: Int64
    during: Int64
    first_us: int

    @property
    def family(self) -> str:
        """The first half of its name."""
        return self.name.split("/")[0]


@dataclass(frozen=True, slots=True)
class Run:
    """A recording.

    Attributes:
        name: Folder and file.
        rows: Its windows, in the order in which they closed.
        instances: Its attacks that have packets.
        benign: (N,) rows that hold no attack and nothing else of an attacker, and are not of an attacked or attacking
            endpoint between an attack's first packet and half a minute behind its last: what is odd there may be the
            attack's echo.
        device_hours: Devices of the site times hours.
    """

    name: str
    rows: FeatureRows
    instances: tuple[Instance, ...]
    benign: Bool
    device_hours: float


def read_run(folder: Path, schema: FeatureSchema) -> Run:
    """Extract and label a lab recording.

    Raises:
        FeatureFileError: The folder is no complete recording.
        CaptureError: Its capture cannot be read.
    """
    capture = capture_of(folder)
    attacks = [attack for attack in attacks_in(capture) if any(map(len, attack.times_us.values()))]
    rows = join(list(extract_capture(capture, repeatable_extractor(schema))), schema, capture.name)
    instances, benign, label = [], np.ones(len(rows), bool), rows.label.copy()
    for attack in attacks:
        first_us, last_us = _span(attack)
        near = named(rows, list(attack.times_us)) & (rows.last_us >= first_us)
        held = holding(rows, attack.times_us)
        label[held] = attack.label.name
        instances.append(
            Instance(
                name=attack.label.name,
                held=np.flatnonzero(held),
                during=np.flatnonzero(near & (rows.first_us <= last_us + AFTER_US)),
                first_us=first_us,
            )
        )
        benign &= ~(held | holding(rows, attack.touched_us) | near & (rows.first_us <= last_us + _ECHO_US))
    rows = rows.labelled(label)
    span_us = int(rows.last_us.max()) - int(rows.first_us.min()) if len(rows) else 0
    return Run(short_name(capture), rows, tuple(instances), benign, _devices(folder) * span_us / _US_PER_HOUR)


def join_benign(runs: Sequence[Run]) -> np.ndarray:
    """(N, F) float32 benign rows of runs."""
    return np.concatenate([run.rows.features[run.benign] for run in runs]).astype(np.float32)


def _span(attack: Attack) -> tuple[int, int]:
    times = [times for times in attack.times_us.values() if len(times)]
    return min(int(one[0]) for one in times), max(int(one[-1]) for one in times)


def _devices(folder: Path) -> int:
    try:
        lock = tomllib.loads((folder / _LOCK).read_text(encoding="utf-8"))
        return len(lock["device"])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise FeatureFileError(f"{folder / _LOCK}: {error}") from None
