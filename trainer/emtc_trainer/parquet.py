"""Feature files as Parquet; the same content as the CSV ones (``emtc_agent.feature_files``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emtc_agent.feature_files import IDENTITY, FeatureRows, Replacement, Text
from emtc_contract.errors import FeatureFileError
from emtc_contract.schema import FeatureSchema

_SCHEMA, _DIGEST = b"emtc-guard schema", b"emtc-guard digest"


class ParquetFeatureWriter:
    """Writes a Parquet feature file, a row group per piece."""

    def __init__(self, path: Path, schema: FeatureSchema) -> None:
        self._replacement = Replacement(path)
        self._layout = pa.schema(
            [("endpoint", pa.string()), ("first_us", pa.int64()), ("last_us", pa.int64()), ("label", pa.string())]
            + [(column, pa.float64()) for column in schema.columns],
            metadata={_SCHEMA: schema.name.encode(), _DIGEST: schema.digest.encode()},
        )
        try:
            self._writer = pq.ParquetWriter(self._replacement.path, self._layout, compression="zstd")
        except OSError as error:
            raise FeatureFileError(f"{path}: {error}") from None

    def write(self, rows: FeatureRows) -> None:
        """Append rows."""
        columns = [rows.endpoint, rows.first_us, rows.last_us, rows.label, *rows.features.T]
        self._writer.write_table(pa.table(columns, schema=self._layout))

    def __enter__(self) -> ParquetFeatureWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        self._replacement.finish(complete=kind is None)


def read_parquet(path: Path, known: Mapping[str, FeatureSchema]) -> FeatureRows:
    """Read a Parquet feature file.

    Args:
        path: The file.
        known: Schemas by name.

    Raises:
        FeatureFileError: Not a feature file.
        SchemaError: A file of another schema.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise FeatureFileError(f"{path}: {error}") from None
    metadata = table.schema.metadata or {}
    name, digest = (metadata.get(key, b"").decode(errors="replace") for key in (_SCHEMA, _DIGEST))
    schema = known.get(name)
    if schema is None:
        raise FeatureFileError(f"{path}: not a feature file (its metadata names no known schema)")
    schema.require_same(name, digest, str(path))
    if table.column_names != [*IDENTITY, *schema.columns]:
        raise FeatureFileError(f"{path}: the columns are not those of {schema.name}")
    features = [table.column(column).to_numpy() for column in schema.columns]
    return FeatureRows(
        schema=schema,
        features=np.column_stack(features).astype(np.float64),
        endpoint=_text(table, "endpoint"),
        first_us=table.column("first_us").to_numpy().astype(np.int64),
        last_us=table.column("last_us").to_numpy().astype(np.int64),
        label=_text(table, "label"),
        source=path.name,
    )


def _text(table: pa.Table, name: str) -> Text:
    """A column of few different strings; rows share them."""
    column = table.column(name).combine_chunks().dictionary_encode()
    return np.array(column.dictionary.to_pylist(), dtype=object)[column.indices.to_numpy()]
