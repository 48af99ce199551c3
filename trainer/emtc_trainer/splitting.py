"""Dividing material into rows to train, to calibrate and to test on; what went where is written down.

Exact duplicates go first, so that no row can be on two sides. Then whole files are divided (``file``), or each file
by time (``time``), or rows at random (``row``: as the paper did; it flatters, since neighbours are nearly equal).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from emtc_agent.feature_files import FeatureRows
from emtc_agent.packets import Int64
from emtc_contract.errors import FeatureFileError, InputError
from emtc_contract.schema import FeatureSchema
from emtc_trainer.data import digest, short_name
from emtc_trainer.material import Source
from emtc_trainer.parquet import ParquetFeatureWriter
from emtc_trainer.seen import SeenRows

ROLES = ("train", "calibrate", "test")
RECORD = "split.json"


@dataclass(frozen=True, slots=True)
class SplitConfig:
    """How to divide.

    Attributes:
        by: ``"file"``, ``"time"`` or ``"row"``.
        shares: Of ``ROLES``; they sum to 1.
        seed: Decides which files or rows go where.
    """

    by: str = "file"
    shares: tuple[float, float, float] = (0.7, 0.15, 0.15)
    seed: int = 7


@dataclass(slots=True)
class SourceRecord:
    """Where the rows of a source went."""

    name: str
    sha256: str
    rows: dict[str, int]


@dataclass(slots=True)
class SplitRecord:
    """``split.json``: what went where.

    Attributes:
        by, shares, seed: As asked.
        schema: Name of the schema.
        duplicates: Rows dropped because an equal one came before.
        contradicted: Those whose first sight bears another label.
        classes: Label ("benign" for none) -> role -> rows.
        sources: Per file.
    """

    by: str
    shares: tuple[float, float, float]
    seed: int
    schema: str
    duplicates: int = 0
    contradicted: int = 0
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    sources: list[SourceRecord] = field(default_factory=list)


def split(
    sources: Sequence[Source], schema: FeatureSchema, out: Path, config: SplitConfig, at: Callable[[int, int], None]
) -> SplitRecord:
    """Divide rows into the files of a new folder, which appears only when complete.

    ``train.parquet`` and ``calibrate.parquet`` hold benign rows, ``train-attacks.parquet`` and
    ``calibrate-attacks.parquet`` the others, ``test.parquet`` both; ``split.json`` is the record.

    Args:
        sources: Files of one schema.
        schema: That schema.
        out: The folder; must not exist.
        config: How to divide.
        at: Told the number of the source and how many of its bytes are read.

    Raises:
        InputError: The folder exists, or there are too few files.
        FeatureFileError: A file cannot be read.
    """
    if out.exists():
        raise InputError(f"{out}: exists already")
    part = out.with_name(f".{out.name}.part")
    part.mkdir(parents=True)
    record = SplitRecord(config.by, config.shares, config.seed, schema.name)
    try:
        with ExitStack() as stack:
            writers = _Writers(part, schema, stack)
            _divide(sources, writers, record, config, at)
        (part / RECORD).write_bytes(msgspec.json.format(msgspec.json.encode(asdict(record)), indent=1))
        part.rename(out)
    finally:
        _remove(part)
    return record


def _divide(
    sources: Sequence[Source],
    writers: _Writers,
    record: SplitRecord,
    config: SplitConfig,
    at: Callable[[int, int], None],
) -> None:
    seen = SeenRows()
    rng = np.random.default_rng(config.seed)
    of_file = _assign_files(sources, config) if config.by == "file" else []
    for number, source in enumerate(sources):
        counts: Counter[str] = Counter()
        for piece in source.rows(lambda octets, number=number: at(number, octets)):  # type: ignore[misc]
            piece = piece.take(seen.first_of(piece.features.astype(np.float32), piece.label))
            role = np.full(len(piece), of_file[number]) if of_file else _roles(piece, source, config, rng)
            writers.write(piece, role)
            counts.update(ROLES[one] for one in role.tolist())
            _count_classes(record, piece, role)
        record.sources.append(SourceRecord(short_name(source.path), digest(source.path), dict(counts)))
    record.duplicates, record.contradicted = seen.repeated, seen.contradicted


def _count_classes(record: SplitRecord, piece: FeatureRows, role: Int64) -> None:
    for (label, one), number in Counter(zip(piece.label.tolist(), role.tolist(), strict=True)).items():
        roles = record.classes.setdefault(label or "benign", {})
        roles[ROLES[one]] = roles.get(ROLES[one], 0) + number


def _roles(piece: FeatureRows, source: Source, config: SplitConfig, rng: np.random.Generator) -> Int64:
    """(N,) role of each row, by time or at random."""
    bounds = np.cumsum(config.shares)[:2]
    if config.by == "row":
        return np.searchsorted(bounds, rng.random(len(piece)), side="right")
    first_us, last_us = source.span_us
    if last_us <= first_us:
        raise InputError(f"{source.path}: its rows carry no time to divide them by")
    return np.searchsorted(bounds, (piece.first_us - first_us) / (last_us - first_us), side="right")


def _assign_files(sources: Sequence[Source], config: SplitConfig) -> list[int]:
    """Role of each file: of each folder in turn, since one may hold one class only, the role that lacks most."""
    if len(sources) < len(ROLES):
        raise InputError(
            f"{len(sources)} file(s) cannot be divided into {', '.join(ROLES)}; try --by time or --by row"
        )
    rng = np.random.default_rng(config.seed)
    folders: dict[Path, list[int]] = defaultdict(list)
    for number, source in enumerate(sources):
        folders[source.path.parent].append(number)
    roles = [0] * len(sources)
    held = np.zeros(len(ROLES))
    for numbers in folders.values():
        if len(numbers) >= len(ROLES):
            held[:] = 0
        for number in rng.permutation(numbers).tolist():
            size = sources[number].path.stat().st_size
            lacking = np.array(config.shares) * (held.sum() + size) - held
            roles[number] = int(np.argmax(lacking))
            held[roles[number]] += size
    return roles


class _Writers:
    """The five files; an error in the ``with`` block leaves none."""

    def __init__(self, folder: Path, schema: FeatureSchema, stack: ExitStack) -> None:
        def writer(name: str) -> ParquetFeatureWriter:
            return stack.enter_context(ParquetFeatureWriter(folder / f"{name}.parquet", schema))

        test = writer("test")
        self._benign = (writer("train"), writer("calibrate"), test)
        self._attacks = (writer("train-attacks"), writer("calibrate-attacks"), test)

    def write(self, rows: FeatureRows, role: Int64) -> None:
        """Write each row where it belongs."""
        benign = rows.label == ""
        for number in np.unique(role).tolist():
            for writers, chosen in ((self._benign, benign), (self._attacks, ~benign)):
                if (mine := chosen & (role == number)).any():
                    writers[number].write(rows.take(mine))


def _remove(folder: Path) -> None:
    if folder.exists():
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def one_schema(sources: Sequence[Source]) -> FeatureSchema:
    """The schema of all sources; raises FeatureFileError if they differ."""
    for source in sources[1:]:
        if source.schema.digest != sources[0].schema.digest:
            raise FeatureFileError(
                f"{source.path}: {source.schema.name}, but {sources[0].path} is {sources[0].schema.name}"
            )
    return sources[0].schema
