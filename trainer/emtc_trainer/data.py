"""Rows to learn from and to test on: feature files and captures, never mixed between roles."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emtc_agent.feature_files import FeatureRows, Text, read_csv
from emtc_agent.features import CaptureConfig, EdgeConfig, open_extractor
from emtc_agent.packets import Float32, Int64
from emtc_agent.pipeline import extract_capture
from emtc_agent.sources import open_capture
from emtc_agent.windows.windows import Extractor
from emtc_contract.bundle import SourceFile
from emtc_contract.errors import FeatureFileError
from emtc_contract.schema import FeatureSchema
from emtc_contract.schemas import SCHEMAS
from emtc_trainer.labels import FILE, Attack, attach, find_attacks, read_labels
from emtc_trainer.parquet import read_parquet

_CHUNK_BYTES = 1 << 20
_HASH_KEY = 7


@dataclass(frozen=True, slots=True)
class Dataset:
    """Rows of several files.

    Attributes:
        schema: What the columns mean.
        features: (N, F) float32.
        label: (N,) ``"family/type"``, "" for benign.
        endpoint: (N,) endpoint names.
        first_us, last_us: (N,) time of each row's first and last packet.
        file: (N,) index into ``files``.
        files: What was read.
    """

    schema: FeatureSchema
    features: Float32
    label: Text
    endpoint: Text
    first_us: Int64
    last_us: Int64
    file: Int64
    files: tuple[SourceFile, ...]

    def __len__(self) -> int:
        return len(self.features)

    def take(self, chosen: np.ndarray) -> Dataset:
        """The rows of a mask or index."""
        return Dataset(
            self.schema,
            self.features[chosen],
            self.label[chosen],
            self.endpoint[chosen],
            self.first_us[chosen],
            self.last_us[chosen],
            self.file[chosen],
            self.files,
        )

    @property
    def benign(self) -> Dataset:
        """The rows without an attack."""
        return self.take(self.label == "")


def load(paths: Sequence[Path], role: str, schema: FeatureSchema, say: Callable[[str], None]) -> Dataset:
    """Read feature files (CSV, Parquet) and captures (with a ``labels.csv`` beside them, if there is one).

    Args:
        paths: Files, or folders that hold ``capture.pcap`` or ``capture.pcap.gz``.
        role: What the rows are for, for the record.
        schema: The schema all of them must have.
        say: Takes progress lines.

    Raises:
        FeatureFileError: A file cannot be read, or there are no rows at all.
    """
    parts, files = [], []
    for path in paths:
        path = capture_of(path) if path.is_dir() else path
        rows = _read(path, schema)
        say(f"{role}: {path}: {len(rows)} rows, {int((rows.label != '').sum())} of attacks")
        parts.append(rows)
        files.append(SourceFile(name=short_name(path), sha256=digest(path), rows=len(rows), role=role))
    if not sum(map(len, parts)):
        raise FeatureFileError(f"{role}: no rows in {', '.join(map(str, paths)) or 'no file'}")
    return Dataset(
        schema=schema,
        features=np.concatenate([part.features for part in parts]).astype(np.float32),
        label=np.concatenate([part.label for part in parts]),
        endpoint=np.concatenate([part.endpoint for part in parts]),
        first_us=np.concatenate([part.first_us for part in parts]),
        last_us=np.concatenate([part.last_us for part in parts]),
        file=np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
        files=tuple(files),
    )


def without_duplicates(data: Dataset) -> Dataset:
    """The first of each set of identical feature rows, in the order they were read."""
    octets = np.ascontiguousarray(data.features).view(f"V{4 * data.features.shape[1]}").reshape(-1)
    _, first = np.unique(octets, return_index=True)
    return data.take(np.sort(first))


def digest(path: Path) -> str:
    """SHA-256 of a file, hex."""
    sha = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                sha.update(chunk)
    except OSError as error:
        raise FeatureFileError(f"{path}: {error.strerror}") from None
    return sha.hexdigest()


def capture_of(folder: Path) -> Path:
    """The capture of a recording."""
    plain, zipped = folder / "capture.pcap", folder / "capture.pcap.gz"
    if not plain.exists() and not zipped.exists():
        raise FeatureFileError(f"{folder}: holds no capture.pcap")
    return plain if plain.exists() else zipped


def short_name(path: Path) -> str:
    """Folder and file name: enough to recognise a run, without the machine's paths."""
    return f"{path.parent.name}/{path.name}" if path.parent.name else path.name


def read_features(path: Path, schema: FeatureSchema) -> FeatureRows:
    """Read a feature file; raises FeatureFileError, or SchemaError if it is of another schema."""
    rows = read_csv(path, SCHEMAS) if path.suffix == ".csv" else read_parquet(path, SCHEMAS)
    schema.require_same(rows.schema.name, rows.schema.digest, str(path))
    return rows


def _read(path: Path, schema: FeatureSchema) -> FeatureRows:
    if path.suffix in (".csv", ".parquet"):
        return read_features(path, schema)
    return join(list(labelled(path, schema)), schema, path.name)


def labelled(path: Path, schema: FeatureSchema) -> Iterator[FeatureRows]:
    """Rows of a capture in pieces of bounded size, with the labels of the ``labels.csv`` beside it if there is one.

    Raises:
        CaptureError: The file is no capture.
        FeatureFileError: The labels cannot be read.
    """
    attacks = attacks_in(path)
    for piece in extract_capture(path, repeatable_extractor(schema)):
        yield attach(piece, attacks)


def repeatable_extractor(schema: FeatureSchema) -> Extractor:
    """An extractor that gives the same rows each time, also where a flood overflows its tables.

    A gateway draws its hash key, so that nobody can choose addresses that collide; material for training is no enemy.
    """
    return open_extractor(schema, EdgeConfig(hash_key=_HASH_KEY), CaptureConfig(hash_key=_HASH_KEY))


def attacks_in(path: Path) -> list[Attack]:
    """The attacks that the ``labels.csv`` beside a capture names, with their packets; none without it."""
    labels = path.with_name(FILE)
    known = read_labels(labels) if labels.exists() else []
    if not known:
        return []
    with open_capture(path) as reader:
        return find_attacks(reader, known)


def join(pieces: list[FeatureRows], schema: FeatureSchema, source: str) -> FeatureRows:
    """Pieces as one, in their order."""
    nothing = np.zeros(0, dtype=object)
    return FeatureRows(
        schema=schema,
        features=np.concatenate([np.zeros((0, len(schema.columns))), *(piece.features for piece in pieces)]),
        endpoint=np.concatenate([nothing, *(piece.endpoint for piece in pieces)]),
        first_us=np.concatenate([np.zeros(0, np.int64), *(piece.first_us for piece in pieces)]),
        last_us=np.concatenate([np.zeros(0, np.int64), *(piece.last_us for piece in pieces)]),
        label=np.concatenate([nothing, *(piece.label for piece in pieces)]),
        source=source,
        ip=np.concatenate([nothing, *(piece.endpoint if piece.ip is None else piece.ip for piece in pieces)]),
    )
