"""Labels of lab recordings: which windows belong to which attack."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emtc_agent.feature_files import FeatureRows
from emtc_contract.errors import FeatureFileError

FILE = "labels.csv"
_COLUMNS = {"start_us", "end_us", "attacker", "victim", "family", "type"}


@dataclass(frozen=True, slots=True)
class Label:
    """An attack: when, and the names (addresses) of the endpoints it involves."""

    start_us: int
    end_us: int
    endpoints: frozenset[str]
    name: str


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
            names = f"{row['attacker']};{row['victim']}".lower().split(";")
            yield Label(
                start_us=int(row["start_us"]),
                end_us=int(row["end_us"]),
                endpoints=frozenset(name for name in names if name),
                name=f"{row['family']}/{row['type']}",
            )
        except ValueError as error:
            raise FeatureFileError(f"{path}: line {number}: {error}") from None


def attach(rows: FeatureRows, labels: list[Label]) -> FeatureRows:
    """Rows with the label of the attack they overlap in time and endpoint."""
    text = rows.label.copy()
    ip = rows.ip if rows.ip is not None else rows.endpoint
    for label in labels:
        involved = np.isin(rows.endpoint, list(label.endpoints)) | np.isin(ip, list(label.endpoints))
        during = (rows.first_us <= label.end_us) & (rows.last_us >= label.start_us)
        text[involved & during] = label.name
    fields = {name: getattr(rows, name) for name in FeatureRows.__dataclass_fields__}
    return FeatureRows(**{**fields, "label": text})
