"""Labels of lab recordings: which windows hold packets of which attack."""

from __future__ import annotations

import csv
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emtc_agent.addresses import ip_text, mac_text
from emtc_agent.columns import L3, Columns, decode
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
        attackers, victims: Names (IPv4 or link addresses); empty where senders are forged, or a whole network is
            meant. A packet of the attack carries a name of each side that is known.
        name: ``"family/type"``.
    """

    start_us: int
    end_us: int
    attackers: frozenset[str]
    victims: frozenset[str]
    name: str

    @property
    def endpoints(self) -> frozenset[str]:
        """All names."""
        return self.attackers | self.victims


@dataclass(frozen=True, slots=True)
class Attack:
    """A label with the packets that bear it out.

    Attributes:
        label: The label.
        times_us: Name of an endpoint -> (K,) ascending times of the attack's packets that it sent or received; where
            the label tells no victims, of whoever the attackers met.
        touched_us: The same of all packets of the attackers (of the victims, where no attacker is known) while the
            tool ran: what these packets do to others is no attack, but not benign either.
    """

    label: Label
    times_us: dict[str, Int64]
    touched_us: dict[str, Int64]


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
                attackers=sides[0],
                victims=sides[1],
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
    found = [_Found(label) for label in labels]
    for batch in batches:
        active = [one for one in found if one.overlaps(batch.ts_us)]
        if active:
            columns = decode(batch)
            for one in active:
                one.note(columns)
    return [one.attack() for one in found]


class _Found:
    """Packets of one label, so far."""

    def __init__(self, label: Label) -> None:
        self._label = label
        self._times: dict[str, list[Int64]] = {name: [] for name in label.endpoints}
        self._touched: dict[str, list[Int64]] = {}

    def overlaps(self, ts_us: Int64) -> bool:
        """Whether packets of these times can belong to it."""
        return bool(len(ts_us)) and ts_us.min() <= self._label.end_us and ts_us.max() >= self._label.start_us

    def note(self, columns: Columns) -> None:
        """Look for its packets."""
        label = self._label
        during = (columns.ts_us >= label.start_us) & (columns.ts_us <= label.end_us)
        carried = {name: during & _carries(columns, name) for name in label.endpoints}
        sides = [_any(carried, side, during) for side in (label.attackers, label.victims) if side]
        of_attack = np.logical_and.reduce(sides) if sides else during
        for name, packets in carried.items():
            if (mine := packets & of_attack).any():
                self._times[name].append(columns.ts_us[mine])
        touched = sides[0] if sides else during
        for name, times in _met(columns, touched):
            self._touched.setdefault(name, []).append(times)
            if not label.victims:
                self._times.setdefault(name, []).append(times)

    def attack(self) -> Attack:
        """What was found."""
        return Attack(self._label, _merged(self._times), _merged(self._touched))


def _any(carried: dict[str, Bool], names: frozenset[str], during: Bool) -> Bool:
    return np.logical_or.reduce([carried[name] for name in names]) & during


def _merged(times: dict[str, list[Int64]]) -> dict[str, Int64]:
    nothing = [np.zeros(0, np.int64)]
    return {name: np.unique(np.concatenate(parts + nothing)) for name, parts in times.items()}


def _met(columns: Columns, packets: Bool) -> Iterator[tuple[str, Int64]]:
    """Times of packets by the link addresses in them, sent or received, and by those that ARP tells of."""
    times_us = columns.ts_us[packets]
    for mac in (columns.src_mac[packets], columns.dst_mac[packets]):
        for number in np.unique(mac[mac != 0]).tolist():
            yield mac_text(number), times_us[mac == number]
    is_arp = columns.l3[packets] == L3.ARP
    for address in (columns.src_lo[packets], columns.dst_lo[packets]):
        for number in np.unique(address[is_arp]).tolist():
            yield ip_text(0, number) or "", times_us[is_arp & (address == number)]


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


def named(rows: FeatureRows, names: Sequence[str]) -> Bool:
    """(N,) rows of endpoints with one of these names or addresses."""
    ip = rows.ip if rows.ip is not None else rows.endpoint
    return np.isin(rows.endpoint, names) | np.isin(ip, names)


def holding(rows: FeatureRows, times_us: Mapping[str, Int64]) -> Bool:
    """(N,) rows whose endpoint has, between their first and last packet, one of the times under its name."""
    held = np.zeros(len(rows), bool)
    for name, times in times_us.items():
        held |= named(rows, [name]) & (
            np.searchsorted(times, rows.last_us, "right") > np.searchsorted(times, rows.first_us)
        )
    return held


def attach(rows: FeatureRows, attacks: Sequence[Attack]) -> FeatureRows:
    """Rows with the label of the attack whose packets they hold, of their own endpoint."""
    label = rows.label.copy()
    for attack in attacks:
        label[holding(rows, attack.times_us)] = attack.label.name
    return rows.labelled(label)
