"""Mutated packets and capture files, round by round, until something gives or the time is up.

Every round has its own random numbers, drawn from the seed and its number, so that a failure can be had again.
"""

from __future__ import annotations

import faulthandler
import gzip
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import click
import numpy as np

from fuzz import captures, packets, seeds

HANG_S = 120
CORPUS_BYTES = 200_000
FAILED = Path("fuzz-failed.capture")
Round = Callable[[np.random.Generator], int]


def rounds(corpus: Path | None) -> dict[str, Round]:
    """What a round of each kind does; it returns the number of inputs it tried."""
    files = seeds.captures()
    if corpus:
        files += [start_of(file) for file in sorted(corpus.rglob("*")) if file.is_file()]
    return {
        "packets": partial(packets.fuzz_round, frames=seeds.packets()),
        "files": partial(captures.fuzz_round, captures=[one for one in files if len(one) > 24], path=FAILED),
    }


def start_of(file: Path) -> bytes:
    """The first bytes of a capture, unpacked."""
    with file.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    with gzip.open(file) if packed else file.open("rb") as opened:
        return opened.read(CORPUS_BYTES)


@click.command()
@click.option("--seed", default=1, show_default=True, help="Other seeds give other inputs.")
@click.option("--seconds", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Stop after so long.")
@click.option("--round", "only", type=click.IntRange(min=0), help="Do this round only: a failure again.")
@click.option("--kind", type=click.Choice(["packets", "files"]), help="Only this kind. Default: both by turns.")
@click.option(
    "--corpus", type=click.Path(exists=True, file_okay=False, path_type=Path), help="More captures to damage."
)
def main(seed: int, seconds: float, only: int | None, kind: str | None, corpus: Path | None) -> None:
    """Feed damaged packets and capture files to the readers, the decoder and all extractors.

    Any exception, warning, hang, number out of range, or row that depends on how the input was cut ends it with exit
    code 1, and says how to have it again.
    """
    warnings.simplefilter("error")
    kinds = {name: one for name, one in rounds(corpus).items() if kind in (None, name)}
    tried = dict.fromkeys(kinds, 0)
    begin = told = time.monotonic()
    for number in count() if only is None else [only]:
        for name, one in kinds.items():
            faulthandler.dump_traceback_later(HANG_S, exit=True)
            try:
                tried[name] += one(np.random.default_rng([seed, number]))
            except Exception:
                click.echo(f"round {number} failed; again: scripts/fuzz --seed {seed} --kind {name} --round {number}")
                raise
        now = time.monotonic()
        if now - told > 5 or now - begin > seconds or only is not None:
            said = ", ".join(f"{amount:,} {name}" for name, amount in tried.items())
            click.echo(f"{now - begin:.0f} s, {number + 1} rounds: {said}", err=True)
            told = now
        if now - begin > seconds:
            break
    faulthandler.cancel_dump_traceback_later()
    FAILED.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
