"""Labels of lab recordings: which windows hold packets of which attack."""

from __future__ import annotations

import csv
import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emtc_agent.columns import Columns, decode
from emtc_agent.feature_files import FeatureRows
from emtc_agent.packets import Bool, Int64, PacketBatch, UInt64
from emtc_contract.errors import FeatureFileError

FILE = "labels.csv"
_COLUMNS = {"start_us", "end_us", "attacker", "victim", "family", "type"}
_MAPPED = 0xFFFF << 32


@dataclass(frozen=True, slots=True)
class Label:
    """An attack.

    Attributes:
        start_us, end_us: When its tool ran.
        sides: Names (IPv4 or link addresses) of the attackers and of the victims, a side that is known each: a packet
            of the attack carries a name of every side.
        name: ``"family/type"``.
    """

    start_us: int
    end_us: int
    sides: tuple[frozenset[str], ...]
    name: str

    @property
    def endpoints(self) -> frozenset[str]:
        """All names."""
        return frozenset().union(*self.sides)


@dataclass(frozen=True, slots=True)
class Attack:
    """A label with the packets that bear it out.

    Attributes:
        label: The label.
        times_us: Name of an endpoint -> (K,) ascending times of the attack's packets that it sent or received.
    """

    label: Label
    times_us: dict[str, Int64]


def read_labels(path: Path) -> list[Label]:
    """Read a ``labels.csv``; raises FeatureFileError that names the line."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(_parse(csv.DictReader(file), path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FeatureFileError(f"{path}: {error}") from None


def _parse(rows: csv.DictReader[str], path: Path) -> Iterator[Label]:
    if missing := _COLUMNS - set(rows.fieldnames or ()):
        raise FeatureFileError(f"{path}: no column {', '.join(sorted(missing))}")
    for number, row in enumerate(rows, start=2):
        if any(row[column] is None for column in _COLUMNS):
            raise FeatureFileError(f"{path}: line {number}: too few values")
        try:
            sides = [frozenset(filter(None, row[side].lower().split(";"))) for side in ("attacker", "victim")]
            for name in sides[0] | sides[1]:
                _number(name)
            yield Label(
                start_us=int(row["start_us"]),
                end_us=int(row["end_us"]),
                sides=tuple(side for side in sides if side),
                name=f"{row['family']}/{row['type']}",
            )
        except ValueError as error:
            raise FeatureFileError(f"{path}: line {number}: {error}") from None


def find_attacks(batches: Iterable[PacketBatch], labels: Sequence[Label]) -> list[Attack]:
    """The packets of each label in a capture.

    Args:
        batches: The capture.
        labels: What to look for.
    """
    found: list[dict[str, list[Int64]]] = [{name: [] for name in label.endpoints} for label in labels]
    for batch in batches:
        active = [number for number, label in enumerate(labels) if _overlaps(batch.ts_us, label)]
        if not active:
            continue
        columns = decode(batch)
        for number in active:
            _note(columns, labels[number], found[number])
    nothing = [np.zeros(0, np.int64)]
    return [
        Attack(label, {name: np.sort(np.concatenate(parts + nothing)) for name, parts in times.items()})
        for label, times in zip(labels, found, strict=True)
    ]


def _overlaps(ts_us: Int64, label: Label) -> bool:
    return bool(len(ts_us)) and ts_us.min() <= label.end_us and ts_us.max() >= label.start_us


def _note(columns: Columns, label: Label, times: dict[str, list[Int64]]) -> None:
    during = (columns.ts_us >= label.start_us) & (columns.ts_us <= label.end_us)
    carried = {name: during & _carries(columns, name) for name in label.endpoints}
    of_attack = during
    for side in label.sides:
        of_attack = of_attack & np.logical_or.reduce([carried[name] for name in side])
    for name, packets in carried.items():
        if (mine := packets & of_attack).any():
            times[name].append(columns.ts_us[mine])


def _carries(columns: Columns, name: str) -> Bool:
    """(N,) packets that an address sent or received."""
    number = _number(name)
    if ":" in name:
        return (columns.src_mac == number) | (columns.dst_mac == number)
    return (columns.src_lo == number) & (columns.src_hi == 0) | (columns.dst_lo == number) & (columns.dst_hi == 0)


def _number(name: str) -> UInt64:
    """An address as columns have it; raises ValueError."""
    value = int(name.replace(":", ""), 16) if ":" in name else _MAPPED | int(ipaddress.IPv4Address(name))
    return np.uint64(value)  # type: ignore[return-value]


def attach(rows: FeatureRows, attacks: Sequence[Attack]) -> FeatureRows:
    """Rows with the label of the attack whose packets they hold, of their own endpoint."""
    label = rows.label.copy()
    ip = rows.ip if rows.ip is not None else rows.endpoint
    for attack in attacks:
        for name, times_us in attack.times_us.items():
            mine = (rows.endpoint == name) | (ip == name)
            held = np.searchsorted(times_us, rows.last_us, "right") > np.searchsorted(times_us, rows.first_us)
            label[mine & held] = attack.label.name
    return rows.labelled(label)
