"""The windows of a time of learning as a feature file, for the trainer."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import numpy as np

from emtc_agent.addresses import endpoint_text
from emtc_agent.durable import sync_folder
from emtc_agent.feature_files import CsvFeatureWriter, FeatureRows, FeatureWriter
from emtc_agent.learning.rows import Rows
from emtc_contract.errors import FeatureFileError
from emtc_contract.schema import FeatureSchema

_log = logging.getLogger(__name__)
_PIECE = 512  # rows: as Python numbers they take twelve times the room
_SOURCE = "learned on site"


def write_rows(writer: FeatureWriter, rows: Rows, schema: FeatureSchema, source: str) -> None:
    """Append learned windows, not labelled, as benign rows are; raises FeatureFileError."""
    for begin in range(0, len(rows), _PIECE):
        writer.write(_feature_rows(rows.take(slice(begin, begin + _PIECE)), schema, source))


class SampleFile:
    """Writes what was learned, in a thread of its own: a large sample takes seconds, and packets do not wait.

    Args:
        path: The file, replaced by each time of learning.
        schema: Of the windows.
    """

    def __init__(self, path: Path, schema: FeatureSchema) -> None:
        self._path, self._schema = path, schema
        self._thread: threading.Thread | None = None

    def write(self, rows: Rows) -> None:
        """Begin to write; a failure is logged."""
        if self._thread is not None and self._thread.is_alive():
            _log.warning("%s: is still being written; the new sample is left out", self._path)
            return
        self._thread = threading.Thread(target=self._write, args=(rows,), name="sample", daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> None:
        """Let it be written to its end."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _write(self, rows: Rows) -> None:
        try:
            self._replace(rows)
        except (FeatureFileError, OSError) as error:
            _log.warning("learned windows are not kept: %s", error)
        else:
            _log.info("%s: %d learned windows", self._path, len(rows))

    def _replace(self, rows: Rows) -> None:
        """All of it on the disk before it takes the place of the last one: power may fail at any point."""
        new = self._path.with_name(f"{self._path.name}.new")
        for left in self._path.parent.glob(f".{new.name}.*"):  # by a process that was killed
            left.unlink(missing_ok=True)
        with CsvFeatureWriter(new, self._schema) as writer:
            write_rows(writer, rows, self._schema, _SOURCE)
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(self._path)
        sync_folder(self._path.parent)


def _feature_rows(rows: Rows, schema: FeatureSchema, source: str) -> FeatureRows:
    names = [endpoint_text(*key) for key in rows.endpoints()]
    return FeatureRows(
        schema=schema,
        features=rows.features.astype(np.float64),
        endpoint=np.array(names, dtype=object),
        first_us=rows.first_us,
        last_us=rows.last_us,
        label=np.full(len(rows), "", dtype=object),
        source=source,
    )
