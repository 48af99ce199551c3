"""Feature files: rows of a schema with whom and when they describe, as CSV.

The first line names the schema and its digest; readers refuse a file of another schema. Parquet files hold the
same (``emtc_trainer.parquet``).
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, TextIO

import numpy as np
import numpy.typing as npt

from emtc_agent.packets import Bool, Float64, Int64
from emtc_contract.errors import FeatureFileError
from emtc_contract.schema import FeatureSchema

Text = npt.NDArray[np.object_]
IDENTITY = ("endpoint", "first_us", "last_us", "label")
_FIRST_LINE = "# emtc-guard schema={name} digest={digest}"


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """N rows of a schema.

    Attributes:
        schema: What the columns mean.
        features: (N, F) float64.
        endpoint: (N,) endpoint names.
        ip: (N,) the endpoints' addresses where known, else "".
        first_us, last_us: (N,) capture time of the first and last packet.
        label: (N,) ``"family/type"`` of an attack, "" for benign or unknown.
        source: Name of the file they come from.
    """

    schema: FeatureSchema
    features: Float64
    endpoint: Text
    first_us: Int64
    last_us: Int64
    label: Text
    source: str
    ip: Text | None = None

    def __len__(self) -> int:
        return len(self.features)

    def take(self, chosen: Bool) -> FeatureRows:
        """The rows of a mask (N,)."""
        rows = {
            name: getattr(self, name)[chosen] for name in ("features", "endpoint", "first_us", "last_us", "label")
        }
        return replace(self, **rows, ip=None if self.ip is None else self.ip[chosen])

    def labelled(self, label: Text) -> FeatureRows:
        """The same rows with other labels (N,)."""
        return replace(self, label=label)


class FeatureWriter(Protocol):
    """Writes rows piece by piece; nothing is left behind unless the ``with`` block ends well."""

    def write(self, rows: FeatureRows) -> None:
        """Append rows."""
        ...

    def __enter__(self) -> FeatureWriter: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Replacement:
    """A file that is written beside its target and takes its place only when complete."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}.{os.getpid()}.part")

    def finish(self, *, complete: bool) -> None:
        """Put the file in place, or remove it."""
        if complete:
            self.path.replace(self.target)
        else:
            self.path.unlink(missing_ok=True)


class CsvFeatureWriter:
    """Writes a CSV feature file; numbers are written so that they read back exactly."""

    def __init__(self, path: Path, schema: FeatureSchema) -> None:
        self._schema = schema
        self._replacement = Replacement(path)
        try:
            self._file: TextIO = self._replacement.path.open("w", newline="", encoding="utf-8")
        except OSError as error:
            raise FeatureFileError(f"{path}: {error.strerror}") from None
        self._file.write(_FIRST_LINE.format(name=schema.name, digest=schema.digest) + "\n")
        self._csv = csv.writer(self._file, lineterminator="\n")
        self._csv.writerow((*IDENTITY, *schema.columns))

    def write(self, rows: FeatureRows) -> None:
        """Append rows."""
        identity = zip(rows.endpoint, rows.first_us.tolist(), rows.last_us.tolist(), rows.label, strict=True)
        try:
            self._csv.writerows((*who, *values) for who, values in zip(identity, rows.features.tolist(), strict=True))
        except OSError as error:
            raise FeatureFileError(f"{self._replacement.target}: {error.strerror}") from None

    def __enter__(self) -> CsvFeatureWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError as failure:
            self._replacement.finish(complete=False)
            raise FeatureFileError(f"{self._replacement.target}: {failure.strerror}") from None
        self._replacement.finish(complete=kind is None)


def read_csv(path: Path, known: Mapping[str, FeatureSchema]) -> FeatureRows:
    """Read a CSV feature file.

    Args:
        path: The file.
        known: Schemas by name.

    Raises:
        FeatureFileError: Not a feature file, or a broken row (named by line).
        SchemaError: A file of another schema.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            schema = _schema_of(file.readline(), known, str(path))
            header = file.readline().rstrip("\n").split(",")
            if header != [*IDENTITY, *schema.columns]:
                raise FeatureFileError(f"{path}: line 2: the columns are not those of {schema.name}")
            rows = list(_parse(csv.reader(file), len(header), str(path)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FeatureFileError(f"{path}: {error}") from None
    return _gather(rows, schema, path.name)


def _schema_of(line: str, known: Mapping[str, FeatureSchema], where: str) -> FeatureSchema:
    fields = dict(part.split("=", 1) for part in line.split() if "=" in part)
    if not line.startswith("# emtc-guard ") or not {"schema", "digest"} <= fields.keys():
        raise FeatureFileError(f"{where}: not a feature file (the first line names no schema)")
    schema = known.get(fields["schema"])
    if schema is None:
        raise FeatureFileError(f"{where}: unknown schema {fields['schema']!r}")
    schema.require_same(fields["schema"], fields["digest"], where)
    return schema


def _parse(lines: Iterator[list[str]], columns: int, where: str) -> Iterator[tuple[list[str], list[float]]]:
    for number, fields in enumerate(lines, start=3):
        if len(fields) != columns:
            raise FeatureFileError(f"{where}: line {number}: {len(fields)} fields, expected {columns}")
        try:
            times = [str(int(fields[1])), str(int(fields[2]))]
            values = [float(field) for field in fields[4:]]
        except ValueError as error:
            raise FeatureFileError(f"{where}: line {number}: {error}") from None
        yield [fields[0], *times, fields[3]], values


def _gather(rows: list[tuple[list[str], list[float]]], schema: FeatureSchema, source: str) -> FeatureRows:
    identity = [who for who, _ in rows]
    return FeatureRows(
        schema=schema,
        features=np.array([values for _, values in rows], np.float64).reshape(len(rows), len(schema.columns)),
        endpoint=np.array([who[0] for who in identity], dtype=object),
        first_us=np.array([int(who[1]) for who in identity], np.int64),
        last_us=np.array([int(who[2]) for who in identity], np.int64),
        label=np.array([who[3] for who in identity], dtype=object),
        source=source,
    )
