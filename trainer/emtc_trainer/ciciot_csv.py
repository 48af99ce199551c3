"""The official CICIoT2023 CSV files of both generations, read in pieces of bounded size.

Rows carry no device and no time: Spark shuffled them, so their order says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from emtc_agent.feature_files import FeatureRows, Text
from emtc_agent.packets import Bool, Float64
from emtc_contract.ciciot2023 import CICIOT2023_39, CICIOT2023_46, RATE_LIMIT
from emtc_contract.errors import FeatureFileError
from emtc_contract.schema import FeatureSchema
from emtc_trainer.ciciot_labels import label_of, label_of_file

PIECE_BYTES = 8 << 20
_LABEL_COLUMNS = ("label", "Label", "class", "Class")
_OTHER_NAMES = {"Magnitude": "Magnitue"}  # some copies mend the misspelling
_UNDEFINED = ("Std", "Variance")  # of a single frame


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file's header says.

    Attributes:
        schema: Which generation.
        columns: The file's names of the features, in schema order.
        label: Name of the label column, None if the file has none.
    """

    schema: FeatureSchema
    columns: tuple[str, ...]
    label: str | None


def layout_of(path: Path) -> Layout | None:
    """The layout of an official file, None if its header is none of theirs.

    Raises:
        FeatureFileError: The file cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = file.readline(65_536).rstrip("\r\n").split(",")
    except (OSError, UnicodeDecodeError) as error:
        raise FeatureFileError(f"{path}: {error}") from None
    known = {_OTHER_NAMES.get(name, name): name for name in names}
    for schema in (CICIOT2023_46, CICIOT2023_39):
        label = next((name for name in _LABEL_COLUMNS if name in known), None)
        if set(known) - {label} == set(schema.columns) and len(names) == len(known):
            return Layout(schema, tuple(known[column] for column in schema.columns), label)
    return None


def read_ciciot(
    path: Path, layout: Layout, at_byte: Callable[[int], None] = lambda _: None, piece_bytes: int = PIECE_BYTES
) -> Iterator[FeatureRows]:
    """Rows of one file, labelled and ready for a model.

    An infinite rate becomes the largest finite one, an undefined spread 0; rows with any other value missing are left
    out.

    Args:
        path: The file.
        layout: From ``layout_of``.
        at_byte: Told after each piece how far the file is read.
        piece_bytes: Bytes of text per piece.

    Raises:
        FeatureFileError: A broken row, or a class that CICIoT2023 does not have.
    """
    of_file = label_of_file(path) if layout.label is None else None
    if layout.label is None and of_file is None:
        raise FeatureFileError(f"{path}: has no label column, and neither its name nor its folder's is a class")
    types: dict[str, pa.DataType] = dict.fromkeys(layout.columns, pa.float64())
    wanted = list(layout.columns)
    if layout.label is not None:
        types[layout.label] = pa.dictionary(pa.int32(), pa.string())
        wanted.append(layout.label)
    try:
        with path.open("rb") as file:
            batches = pacsv.open_csv(
                file,
                read_options=pacsv.ReadOptions(block_size=piece_bytes, use_threads=False),
                convert_options=pacsv.ConvertOptions(column_types=types, include_columns=wanted),
            )
            for batch in batches:
                yield _rows(batch, path, layout, of_file)
                at_byte(file.tell())
    except (OSError, pa.ArrowException) as error:
        raise FeatureFileError(f"{path}: {error}") from None


def _rows(batch: pa.RecordBatch, path: Path, layout: Layout, of_file: str | None) -> FeatureRows:
    columns = [batch.column(name).to_numpy(zero_copy_only=False) for name in layout.columns]
    features, whole = _ready(np.column_stack(columns), layout.schema)
    label = np.full(len(features), of_file, dtype=object) if layout.label is None else _labels(batch, path, layout)
    number = int(whole.sum())
    nothing = np.zeros(number, np.int64)
    return FeatureRows(
        schema=layout.schema,
        features=features[whole],
        endpoint=np.full(number, "", dtype=object),
        first_us=nothing,
        last_us=nothing,
        label=label[whole],
        source=path.name,
    )


def _ready(values: Float64, schema: FeatureSchema) -> tuple[Float64, Bool]:
    """(N, F) values as a model takes them, (N,) rows in which nothing is missing."""
    undefined = [schema.columns.index(name) for name in _UNDEFINED]
    values[:, undefined] = np.nan_to_num(values[:, undefined], nan=0.0)
    values[np.isposinf(values)] = RATE_LIMIT
    return values, np.asarray(np.isfinite(values).all(axis=1))


def _labels(batch: pa.RecordBatch, path: Path, layout: Layout) -> Text:
    column = batch.column(layout.label)
    names = column.dictionary.to_pylist()
    labels = np.array([label_of(name or "?") for name in names], dtype=object)
    codes = column.indices.to_numpy(zero_copy_only=False)
    if column.null_count or None in set(labels[np.unique(codes)].tolist()):
        unknown = [name for name, label in zip(names, labels, strict=True) if label is None]
        raise FeatureFileError(f"{path}: {unknown[0] if unknown else ''!r} is no class of CICIoT2023")
    return labels[codes]
