"""``emtc-trainer data``: material divided into rows to train, calibrate and test on."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from emtc_contract.errors import InputError
from emtc_contract.schemas import get_schema
from emtc_trainer.commands.options import FILE, say
from emtc_trainer.material import find_sources
from emtc_trainer.splitting import ROLES, SplitConfig, SplitRecord, one_schema, split

_PERCENT = 100


@click.command()
@click.argument("files", nargs=-1, required=True, type=FILE, metavar="FILE...")
@click.option("-o", "--output", type=FILE, required=True, metavar="FOLDER", help="New folder for the divided rows.")
@click.option(
    "--by",
    type=click.Choice(["file", "time", "row"]),
    default="file",
    show_default=True,
    help="Divide whole files, each file by time, or rows at random (as the paper did; flatters).",
)
@click.option(
    "--shares", default="70/15/15", show_default=True, metavar="A/B/C", help="Per cent to train, calibrate, test."
)
@click.option("--schema", "schema_name", default="edge-v1", show_default=True, help="For captures.")
@click.option("--seed", type=int, default=7, show_default=True)
def data(files: tuple[Path, ...], output: Path, by: str, shares: str, schema_name: str, seed: int) -> None:
    """Drop duplicate rows and divide the others into rows to train, to calibrate and to test on.

    FILE... are feature files, captures (labels.csv beside them), the official CICIoT2023 tables of either
    generation, or folders of those. FOLDER receives train.parquet and calibrate.parquet (benign rows), the attacks
    of the same files in train-attacks.parquet and calibrate-attacks.parquet, test.parquet (both), and split.json,
    which tells where each file and class went.
    """
    config = SplitConfig(by=by, shares=_shares(shares), seed=seed)
    sources = find_sources(files, get_schema(schema_name))
    schema = one_schema(sources)
    sizes = [source.path.stat().st_size for source in sources]
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=sum(sizes))

        def at(number: int, octets: int) -> None:
            bar.update(task, completed=sum(sizes[:number]) + octets, description=sources[number].path.name)

        record = split(sources, schema, output, config, at)
    _show(record)
    dropped = f"{record.duplicates} duplicates dropped, {record.contradicted} of them seen first with another label"
    say(f"{output}: {dropped}")


def _shares(text: str) -> tuple[float, float, float]:
    try:
        train, calibrate, test = (float(part) for part in text.split("/"))
    except ValueError:
        raise InputError(f"--shares: {text!r} is not of the form 70/15/15") from None
    total = train + calibrate + test
    if min(train, calibrate, test) <= 0 or abs(total - _PERCENT) > 0.01:
        raise InputError(f"--shares: {text!r} are not three positive numbers that sum to 100")
    return train / total, calibrate / total, test / total


def _show(record: SplitRecord) -> None:
    table = Table("class", *ROLES, title=f"{record.schema}, divided by {record.by}")
    for name, roles in sorted(record.classes.items()):
        table.add_row(name, *(str(roles.get(role, 0)) for role in ROLES))
    Console().print(table)
