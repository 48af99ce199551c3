"""``emtc-trainer tables``: recordings in the layout of CICIoT2023, its unequal windows included."""

from __future__ import annotations

from pathlib import Path

import click

from emtc_contract.ciciot2023 import CICIOT2023_39, CICIOT2023_46
from emtc_contract.schemas import get_schema
from emtc_trainer.commands.options import FILE, say
from emtc_trainer.tables import write_tables


@click.command()
@click.argument("recordings", nargs=-1, required=True, type=FILE, metavar="RECORDING...")
@click.option("-o", "--output", type=FILE, required=True, metavar="FOLDER", help="Receives the tables.")
@click.option(
    "--schema",
    "schema_name",
    type=click.Choice([CICIOT2023_46.name, CICIOT2023_39.name]),
    default=CICIOT2023_46.name,
    show_default=True,
)
def tables(recordings: tuple[Path, ...], output: Path, schema_name: str) -> None:
    """Write lab recordings as tables of CICIoT2023's form: floods over 100 frames a row, all else over 10.

    Recordings without attacks give benign rows; of others the time of each attack is used. The unequal windows give
    the class away, as they do in the original: that is what `emtc-trainer paper` shows. Sizes are those of captured
    bytes, as in the original; recordings that keep headers only have small ones.
    """
    for table in write_tables(recordings, get_schema(schema_name), output):
        say(f"{table.path}: {table.rows} rows of {table.window} frames, {table.label}")
