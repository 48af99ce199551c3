"""A corpus fuzzer: mutated captures and packets through readers, columns and extractors, judged by what must hold."""

from __future__ import annotations

import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import numpy as np

from emtc_agent.columns import Columns, Hints, decode, read_hints
from emtc_agent.packets import PacketBatch
from emtc_agent.sources import open_capture
from emtc_agent.sources.buffer import BUFFER_BYTES, SMALL_BUFFER_BYTES
from emtc_agent.sources.pcap import MAGICS
from emtc_agent.windows.windows import Extractor, join
from emtc_contract.errors import CaptureError
from emtc_contract.schemas import SCHEMAS
from fuzz import judge
from fuzz.file_mutator import mutated
from fuzz.packet_mutator import PacketMutator, with_noise
from fuzz.twins import Twins, equal_extractors

LIMIT_S = 20
"""Time that one file, or one batch of packets, may take."""


class TookTooLongError(Exception):
    """An input that is not done within ``LIMIT_S``."""


@dataclass
class Fuzzer:
    """Mutates and judges; every round depends on its seed and number only.

    Attributes:
        packets, files: What is mutated.
        seed: Of all rounds.
        failures: Folder for inputs that fail.
        tried_packets, tried_files: How many mutants were judged.
        refused: Files that were no capture any more.
        check_columns: Judges the columns of mutated packets.
    """

    packets: Sequence[tuple[int, bytes]]
    files: Sequence[bytes]
    seed: int
    failures: Path
    tried_packets: int = 0
    tried_files: int = 0
    refused: int = 0
    check_columns: Callable[[PacketBatch, Columns, Hints], None] = judge.check_columns
    _input: PacketBatch | bytes = field(default=b"", repr=False)

    def round(self, number: int, batches: int = 3, batch_packets: int = 16_384, files: int = 900) -> None:
        """Judge ``batches * batch_packets`` packets as one stream, and ``files`` captures.

        Raises:
            Exception: Whatever an input brought about; the input is saved and named in a note.
        """
        rng = np.random.default_rng([self.seed, number])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                self._judge_packets(rng, batches, batch_packets)
                self._judge_files(rng, files)
        except Exception as error:
            error.add_note(f"input: {self._save(number)}")
            raise

    def _judge_packets(self, rng: np.random.Generator, batches: int, batch_packets: int) -> None:
        mutator = PacketMutator(self.packets)
        streams = [Twins(*equal_extractors(schema, rng)) for schema in SCHEMAS.values()]
        for _ in range(batches):
            self._input = batch = mutator.batch(rng, batch_packets)
            judge.check_batch(batch)
            with _in_time():
                columns = decode(batch)
                hints = read_hints(batch, columns)
                self.check_columns(batch, columns, hints)
                other = with_noise(batch, rng)
                again = decode(other)
                judge.check_same(columns, again)
                judge.check_same(hints, read_hints(other, again))
                for stream in streams:
                    stream.push(batch, rng)
            self.tried_packets += batch_packets
        for stream in streams:
            stream.finish()

    def _judge_files(self, rng: np.random.Generator, files: int) -> None:
        with tempfile.TemporaryDirectory(prefix="emtc-fuzz-") as folder:
            path = Path(folder) / "mutant"
            for _ in range(files):
                content = self.files[int(rng.integers(0, len(self.files)))]
                self._input = mutated(rng, content, self.files)
                path.write_bytes(self._input)
                with _in_time():
                    self.refused += not _judge_file(path, self._input, rng)
                self.tried_files += 1

    def _save(self, number: int) -> Path:
        self.failures.mkdir(parents=True, exist_ok=True)
        stem = self.failures / f"seed-{self.seed}-round-{number}"
        if isinstance(self._input, bytes):
            path = stem.with_suffix(".capture")
            path.write_bytes(self._input)
        else:
            path = stem.with_suffix(".npz")
            np.savez_compressed(path, **{name: getattr(self._input, name) for name in PacketBatch.__slots__})
        return path


def _judge_file(path: Path, content: bytes, rng: np.random.Generator) -> bool:
    """Read a file twice, with other buffers and batches; returns whether it was a capture."""
    schema = list(SCHEMAS.values())[int(rng.integers(0, len(SCHEMAS)))]
    few = [5, 11, 30] if len(content) < 4_000 else [50, 300, 5_000]
    sizes = ((16_384, BUFFER_BYTES), (int(rng.choice(few)), SMALL_BUFFER_BYTES))
    extractors = equal_extractors(schema, rng)
    made = [_read(path, one, *size) for one, size in zip(extractors, sizes, strict=True)]
    if isinstance(made[0], str) or isinstance(made[1], str):
        assert made[0] == made[1]
        return False
    judge.check_same(made[0][0], made[1][0])
    assert made[0][1:] == made[1][1:]
    assert extractors[0].stats == extractors[1].stats
    if content[:4] in MAGICS:
        assert made[0][2] == [len(one) for one in judge.plain_pcap(content)]
    return True


def _read(path: Path, extractor: Extractor, batch_packets: int, buffer_bytes: int):
    """(rows, reader's counters, captured lengths) of a capture, or what was said when it was refused."""
    windows, sizes = [], []
    try:
        with open_capture(path, batch_packets, buffer_bytes) as reader:
            for batch in reader:
                judge.check_batch(batch)
                if buffer_bytes == BUFFER_BYTES:
                    columns = decode(batch)
                    judge.check_columns(batch, columns, read_hints(batch, columns))
                windows.append(extractor.push(batch))
                sizes += batch.cap_len.tolist()
    except CaptureError as error:
        return str(error)
    made = join([*windows, extractor.finish()], len(extractor.schema.columns))
    judge.check_windows(made, extractor.schema)
    judge.check_counts(extractor.stats, made, len(sizes))
    assert reader.stats.packets == len(sizes)
    return made, reader.stats, sizes


@contextmanager
def _in_time() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TookTooLongError(f"not done in {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
