"""``emtc-trainer``: fit a detector to benign traffic, and judge it on traffic it has not seen."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from emtc_agent.commands.extract import feature_writer
from emtc_agent.errors import OneLineErrors
from emtc_contract.edge_v1 import EDGE_V1
from emtc_contract.errors import InputError
from emtc_contract.schemas import get_schema
from emtc_trainer.autoencoder import PRESETS
from emtc_trainer.data import Dataset, capture_of, labelled, load, without_duplicates
from emtc_trainer.evaluation import BUDGETS, Evaluation, evaluate, refuse_seen
from emtc_trainer.saved import TrainedModel, load_model, save_model
from emtc_trainer.training import FitConfig, fit

_FILE = click.Path(path_type=Path)
_FILES_HELP = "Feature files (.csv, .parquet), captures, or folders of lab recordings"


@click.group(cls=OneLineErrors)
def main() -> None:
    """Fit a detector to benign traffic, and judge it on traffic it has not seen."""


@main.command("features")
@click.argument("captures", nargs=-1, required=True, type=_FILE, metavar="CAPTURE...")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="rows.parquet or rows.csv"
)
def features_command(captures: tuple[Path, ...], output: Path) -> None:
    """Write the labelled edge-v1 features of CAPTURE... (captures, or folders of lab recordings) to one file.

    Labels come from the labels.csv beside each capture; without one, all of its rows count as benign.
    """
    with feature_writer(output, EDGE_V1) as writer:
        for path in captures:
            capture = capture_of(path) if path.is_dir() else path
            rows = attacks = 0
            for piece in labelled(capture, EDGE_V1):
                writer.write(piece)
                rows += len(piece)
                attacks += int((piece.label != "").sum())
            _say(f"{capture}: {rows} rows, {attacks} of attacks")


@main.command("fit")
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILE...")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="model.pt")
@click.option(
    "--calibrate", "calibrate", multiple=True, type=_FILE, help="Benign files that set the threshold; repeat."
)
@click.option("--schema", "schema_name", default="edge-v1", show_default=True)
@click.option("--preset", type=click.Choice(list(PRESETS)), default="default", show_default=True, help="Size.")
@click.option("--epochs", type=click.IntRange(1, 10_000), default=150, show_default=True)
@click.option("--quantile", type=click.FloatRange(0.5, 0.99999), help="Benign share below the threshold.")
@click.option("--seed", type=int, default=7, show_default=True)
def fit_command(
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
    train = _benign(load(files, "train", schema, _say))
    calibration = _benign(load(calibrate, "calibrate", schema, _say))
    if overlap := {file.sha256 for file in train.files} & {file.sha256 for file in calibration.files}:
        raise InputError(f"{len(overlap)} file(s) both trained on and used to calibrate")
    config = FitConfig(preset=preset, epochs=epochs, quantile=quantile, seed=seed)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("fitting", total=epochs)

        def progress(epoch: int, loss: float, validation: float) -> None:
            bar.update(
                task, completed=epoch, description=f"epoch {epoch}: loss {loss:.4f}, validation {validation:.4f}"
            )

        model = fit(train, calibration, config, progress, _say)
    save_model(output, model)
    _say(
        f"{output}: {model.metrics['epochs']:.0f} epochs, validation loss {model.metrics['validation_loss']:.4f}, "
        f"threshold {model.threshold:.4f}"
    )


def _benign(data: Dataset) -> Dataset:
    benign = data.benign
    unique = without_duplicates(benign)
    _say(f"{len(data) - len(benign)} attack rows left out, {len(benign) - len(unique)} duplicates dropped")
    return unique


def _say(line: str) -> None:
    click.echo(line, err=True)


@main.command("evaluate")
@click.argument("model_file", type=click.Path(dir_okay=False, path_type=Path), metavar="MODEL")
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON only.")
@click.option("--allow-seen", is_flag=True, help="Allow files the model was fitted on (the figures mean nothing).")
def evaluate_command(model_file: Path, files: tuple[Path, ...], *, as_json: bool, allow_seen: bool) -> None:
    """Judge MODEL on the rows of FILE...; rows with a label are attacks, the others benign."""
    model = load_model(model_file)
    test = load(files, "test", model.schema, _say)
    if not allow_seen:
        refuse_seen(model, test.files)
    result = evaluate(model, without_duplicates(test))
    if as_json:
        click.echo(msgspec.json.encode(asdict(result)))
    else:
        _show(result, model)


def _show(result: Evaluation, model: TrainedModel) -> None:
    console = Console()
    c = result.confusion
    console.print(f"threshold {model.threshold:.4f} (benign quantile {model.quantile:.1%})")
    console.print(f"TN {c.tn}  FP {c.fp}  FN {c.fn}  TP {c.tp}")
    metrics = Table("metric", "model", "always attack", title="window level")
    for name, value in result.metrics.items():
        trivial = result.always_attack.get(name)
        metrics.add_row(name, f"{value:.4f}", "" if trivial is None else f"{trivial:.4f}")
    console.print(metrics)
    budgets = [f"recall at FAR {far:g}" for far in BUDGETS]
    types = Table(
        "attack", "windows", "AUC", "recall", *budgets, title=f"by type, {result.benign_rows} benign windows"
    )
    for one in result.types:
        at_budget = ["too few benign" if value is None else f"{value:.3f}" for value in one.at_budget]
        types.add_row(one.name, str(one.rows), f"{one.auc:.4f}", f"{one.recall:.3f}", *at_budget)
    console.print(types)
