"""Recordings written as CICIoT2023's authors wrote theirs: whole-site windows, floods by 100 frames, the rest by 10.

The unequal windows are copied on purpose: they give the class away, and ``emtc-trainer paper`` shows how far.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emtc_agent.feature_files import Replacement
from emtc_agent.packets import PacketBatch
from emtc_agent.pipeline import extract
from emtc_agent.sources import open_capture
from emtc_contract.errors import FeatureFileError
from emtc_contract.schema import FeatureSchema
from emtc_contract.schemas import resized
from emtc_trainer.ciciot_labels import is_flood
from emtc_trainer.data import capture_of, repeatable_extractor
from emtc_trainer.labels import FILE as LABELS
from emtc_trainer.labels import read_labels

BENIGN = "Benign_Final"
FLOOD_WINDOW = 100


@dataclass(frozen=True, slots=True)
class Table:
    """A file that was written."""

    path: Path
    label: str
    window: int
    rows: int


def write_tables(recordings: Sequence[Path], schema: FeatureSchema, out: Path) -> Iterator[Table]:
    """Write a table per recording of benign traffic, and per attack of every other recording.

    Args:
        recordings: Folders of lab recordings. One whose ``labels.csv`` names no attack is benign; of others only the
            time of attacks is used, with the site's other traffic in it, as it is in CICIoT2023.
        schema: One of CICIoT2023's.
        out: Folder, made if missing.

    Yields:
        Each file, once it is complete.

    Raises:
        FeatureFileError: No recording with labels.
        CaptureError: A capture cannot be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = itertools.count(1)
    for folder in recordings:
        capture = capture_of(folder)
        if not (folder / LABELS).exists():
            raise FeatureFileError(f"{folder}: holds no {LABELS}")
        labels = read_labels(folder / LABELS)
        if not labels:
            yield _write(capture, schema, out / _file_name(next(written), BENIGN), BENIGN)
        for label in labels:
            path = out / _file_name(next(written), label.name)
            yield _write(capture, schema, path, label.name, (label.start_us, label.end_us))


def _file_name(number: int, label: str) -> str:
    return f"{number:04d}-{label.replace('/', '-').replace(' ', '-')}.csv"


def _write(
    capture: Path, schema: FeatureSchema, path: Path, label: str, span_us: tuple[int, int] | None = None
) -> Table:
    window = FLOOD_WINDOW if is_flood(label) else schema.window.packets
    replacement = Replacement(path)
    rows, complete = 0, False
    try:
        with open_capture(capture) as reader, replacement.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*schema.columns, "label"])
            batches = reader if span_us is None else _during(reader, span_us)
            for piece in extract(batches, repeatable_extractor(resized(schema, window)), path.name):
                writer.writerows([*values, label] for values in piece.features.tolist())
                rows += len(piece)
        complete = True
    except OSError as error:
        raise FeatureFileError(f"{path}: {error.strerror}") from None
    finally:
        replacement.finish(complete=complete)
    return Table(path, label, window, rows)


def _during(batches: Iterable[PacketBatch], span_us: tuple[int, int]) -> Iterator[PacketBatch]:
    for batch in batches:
        inside = np.flatnonzero((batch.ts_us >= span_us[0]) & (batch.ts_us <= span_us[1]))
        if len(inside):
            yield batch.take(inside)
