"""Files that rows come from: feature files, captures with labels, official CICIoT2023 tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from emtc_agent.feature_files import FeatureRows
from emtc_contract.errors import FeatureFileError
from emtc_contract.schema import FeatureSchema
from emtc_trainer.ciciot_csv import Layout, layout_of, read_ciciot
from emtc_trainer.data import labelled, read_features
from emtc_trainer.labels import FILE as LABELS

_FEATURES = (".csv", ".parquet")
_CAPTURES = (".pcap", ".pcapng", ".cap", ".gz")
AtByte = Callable[[int], None]


@dataclass(frozen=True)
class Source:
    """One file.

    Attributes:
        path: The file.
        schema: What its rows mean.
        layout: Of an official table, else None.
    """

    path: Path
    schema: FeatureSchema
    layout: Layout | None = None

    def rows(self, at_byte: AtByte = lambda _: None) -> Iterator[FeatureRows]:
        """Its labelled rows, in pieces; raises FeatureFileError or CaptureError."""
        if self.layout is not None:
            yield from read_ciciot(self.path, self.layout, at_byte)
        elif self.path.suffix in _FEATURES:
            yield read_features(self.path, self.schema)
        else:
            yield from labelled(self.path, self.schema)
        at_byte(self.path.stat().st_size)

    @cached_property
    def span_us(self) -> tuple[int, int]:
        """Time of the first and the last row; reads the file."""
        pieces = [(int(rows.first_us.min()), int(rows.first_us.max())) for rows in self.rows() if len(rows)]
        return min((first for first, _ in pieces), default=0), max((last for _, last in pieces), default=0)


def find_sources(paths: Sequence[Path], schema: FeatureSchema) -> list[Source]:
    """The files named, and those in folders, in the order of their names.

    Args:
        paths: Files and folders; a lab recording's folder is its capture.
        schema: For captures and feature files; official tables bring their own.

    Raises:
        FeatureFileError: Nothing there, or a file cannot be read.
    """
    found = [_source(file, schema) for path in paths for file in _files(path)]
    if not found:
        raise FeatureFileError(f"no feature file, table or capture in {', '.join(map(str, paths))}")
    return found


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    kinds = (*_FEATURES, *_CAPTURES)
    return sorted(
        file
        for file in path.rglob("*")
        if file.suffix in kinds and file.name != LABELS and not _is_view(file) and file.is_file()
    )


def _is_view(file: Path) -> bool:
    """Whether it is another view (raw IP, GTP-U) of the lab recording in the folder above."""
    return (file.parent.parent / LABELS).exists()


def _source(path: Path, schema: FeatureSchema) -> Source:
    layout = layout_of(path) if path.suffix == ".csv" else None
    return Source(path, layout.schema, layout) if layout is not None else Source(path, schema)
