"""``scripts/fuzz``: fuzz for a time or for a number of rounds; ends with 1 at the first input that fails."""

from __future__ import annotations

import resource
import sys
import time
import traceback
from pathlib import Path

import click

from fuzz import corpus
from fuzz.fuzzer import Fuzzer

MOST_MB = 500


@click.command()
@click.option("--seed", default=1, show_default=True, help="Of all mutations.")
@click.option("--seconds", default=60.0, show_default=True, help="How long, in whole rounds.")
@click.option("--rounds", type=int, help="How many rounds, instead of a time.")
@click.option("--start", default=0, show_default=True, help="Number of the first round.")
@click.option(
    "--corpus",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Mutate the captures below this folder too.",
)
@click.option(
    "--failures",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("fuzz-failures"),
    show_default=True,
    help="Where an input that fails is kept.",
)
def main(seed: int, seconds: float, rounds: int | None, start: int, folder: Path | None, failures: Path) -> None:
    """Mutate captures and packets of our own making and judge what the agent makes of them.

    A round is 49,152 packets and 900 captures, and depends on its seed and number only.
    """
    packets, files = corpus.packets(), corpus.files()
    if folder is not None:
        more_packets, more_files = corpus.read_folder(folder)
        packets, files = packets + more_packets, files + more_files
    click.echo(f"seed {seed}: mutating {len(packets)} packets and {len(files)} captures")
    fuzzer = Fuzzer(packets, files, seed, failures)
    begin_s = time.monotonic()
    number = start
    while number - start < rounds if rounds is not None else time.monotonic() - begin_s < seconds:
        _round(fuzzer, number)
        number += 1
        memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        click.echo(
            f"round {number - 1}: {fuzzer.tried_packets:,} packets, {fuzzer.tried_files:,} captures "
            f"({fuzzer.refused:,} refused), {time.monotonic() - begin_s:.0f} s, at most {memory_mb} MB"
        )
        if memory_mb > MOST_MB:
            click.echo(f"FAILED: more than {MOST_MB} MB of memory in round {number - 1}")
            sys.exit(1)


def _round(fuzzer: Fuzzer, number: int) -> None:
    try:
        fuzzer.round(number)
    except Exception:
        traceback.print_exc()
        click.echo(f"FAILED in round {number}; again: scripts/fuzz --seed {fuzzer.seed} --start {number} --rounds 1")
        sys.exit(1)


if __name__ == "__main__":
    main(prog_name="scripts/fuzz")
