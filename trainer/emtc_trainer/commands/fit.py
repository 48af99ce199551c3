"""``emtc-trainer fit``: a detector for benign traffic."""

from __future__ import annotations

from pathlib import Path

import click

from emtc_contract.errors import InputError
from emtc_contract.schemas import get_schema
from emtc_trainer import training
from emtc_trainer.autoencoder import PRESETS
from emtc_trainer.commands.options import FILE, NEW_FILE, epochs_shown, say
from emtc_trainer.data import Dataset, load, without_duplicates
from emtc_trainer.saved import save_model
from emtc_trainer.training import FitConfig


@click.command()
@click.argument("files", nargs=-1, required=True, type=FILE, metavar="FILE...")
@click.option("-o", "--output", type=NEW_FILE, required=True, help="model.pt")
@click.option(
    "--calibrate", "calibrate", multiple=True, type=FILE, help="Benign files that set the threshold; repeat."
)
@click.option("--schema", "schema_name", default="edge-v1", show_default=True)
@click.option("--preset", type=click.Choice(list(PRESETS)), default="default", show_default=True, help="Size.")
@click.option("--epochs", type=click.IntRange(1, 10_000), default=150, show_default=True)
@click.option("--quantile", type=click.FloatRange(0.5, 0.99999), help="Benign share below the threshold.")
@click.option("--seed", type=int, default=7, show_default=True)
def fit(
    files: tuple[Path, ...],
    output: Path,
    calibrate: tuple[Path, ...],
    schema_name: str,
    preset: str,
    epochs: int,
    quantile: float | None,
    seed: int,
) -> None:
    """Fit a Conv-AE to the benign rows of FILE... (feature files, captures, or folders of lab recordings).

    Rows with an attack label are left out. Without --calibrate the last FILE sets the threshold and is not
    trained on.
    """
    if not calibrate:
        if len(files) < 2:
            raise InputError("the threshold needs rows that were not trained on: give --calibrate or two files")
        files, calibrate = files[:-1], files[-1:]
    schema = get_schema(schema_name)
    train = _benign(load(files, "train", schema, say))
    calibration = _benign(load(calibrate, "calibrate", schema, say))
    if overlap := {file.sha256 for file in train.files} & {file.sha256 for file in calibration.files}:
        raise InputError(f"{len(overlap)} file(s) both trained on and used to calibrate")
    config = FitConfig(preset=preset, epochs=epochs, quantile=quantile, seed=seed)
    with epochs_shown(epochs) as progress:
        model = training.fit(train, calibration, config, progress, say)
    save_model(output, model)
    say(
        f"{output}: {model.metrics['epochs']:.0f} epochs, validation loss {model.metrics['validation_loss']:.4f}, "
        f"threshold {model.threshold:.4f}"
    )


def _benign(data: Dataset) -> Dataset:
    benign = data.benign
    unique = without_duplicates(benign)
    say(f"{len(data) - len(benign)} attack rows left out, {len(benign) - len(unique)} duplicates dropped")
    return unique
