"""``emtc-trainer paper``: the Conv-AE paper's experiment, with what its table leaves out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from emtc_contract.errors import FeatureFileError
from emtc_contract.schemas import get_schema
from emtc_trainer import paper as experiment
from emtc_trainer.autoencoder import PRESETS
from emtc_trainer.commands.options import FILE, epochs_shown, say
from emtc_trainer.optimizing import OptimizeConfig
from emtc_trainer.paper import PUBLISHED, PaperResult
from emtc_trainer.splitting import RECORD


@click.command()
@click.option("--data", "folder", type=FILE, required=True, metavar="FOLDER", help="Made by `emtc-trainer data`.")
@click.option("--preset", type=click.Choice(list(PRESETS)), default="paper", show_default=True, help="Size.")
@click.option("--epochs", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Most passes.")
@click.option("--patience", type=click.IntRange(1), default=5, show_default=True, help="Passes without gain.")
@click.option(
    "--as-is/--at-shares",
    default=True,
    show_default=True,
    help="The test rows as they are, or repeated until benign rows and floods have their shares in CICIoT2023.",
)
@click.option("--seed", type=int, default=7, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON only.")
def paper(folder: Path, preset: str, epochs: int, patience: int, *, as_is: bool, seed: int, as_json: bool) -> None:
    """Repeat the Conv-AE paper on FOLDER, and set its published figures and trivial baselines beside.

    FOLDER holds rows in the layout of CICIoT2023: its official tables, or those that `emtc-trainer tables` makes of
    recordings, divided by `emtc-trainer data --by row` (as the paper did) or `--by file`.
    """
    try:
        schema = get_schema(msgspec.json.decode((folder / RECORD).read_bytes())["schema"])
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        raise FeatureFileError(f"{folder}: not a folder made by `emtc-trainer data`") from None
    if not schema.name.startswith("ciciot2023"):
        raise FeatureFileError(f"{folder}: rows of {schema.name}; the paper's protocol is for CICIoT2023's layouts")
    config = OptimizeConfig(epochs=epochs, patience=patience, mask=0.0)
    with epochs_shown(epochs) as progress:
        result = experiment.paper(
            folder, schema, preset, config, seed, at_shares=not as_is, progress=progress, say=say
        )
    if as_json:
        click.echo(msgspec.json.encode({**asdict(result), "published": PUBLISHED}))
    else:
        _show(result)


def _show(result: PaperResult) -> None:
    console = Console()
    console.print(
        f"{result.parameters} parameters, {result.epochs} epochs on {result.train_rows} benign rows; tested on "
        f"{result.benign_rows} benign and {result.attack_rows} attack rows"
    )
    metrics = Table("metric", "published", *(one.name for one in result.contenders), title="by the paper's protocol")
    for name, published in PUBLISHED.items():
        ours = [one.metrics.get(name) for one in result.contenders]
        metrics.add_row(name, f"{published:.4f}", *("" if value is None else f"{value:.4f}" for value in ours))
    console.print(metrics)
    families = Table("family", *(one.name for one in result.contenders), title="recall by family")
    for name in result.contenders[0].families:
        families.add_row(name, *(f"{one.families[name]:.3f}" for one in result.contenders))
    macro = [sum(one.families.values()) / len(one.families) for one in result.contenders]
    families.add_row("macro", *(f"{value:.3f}" for value in macro), end_section=True)
    console.print(families)
