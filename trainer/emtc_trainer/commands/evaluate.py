"""``emtc-trainer evaluate``: a model on rows it has not seen."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from emtc_trainer import evaluation
from emtc_trainer.commands.options import FILE, NEW_FILE, say
from emtc_trainer.data import load, without_duplicates
from emtc_trainer.evaluation import BUDGETS, Evaluation, refuse_seen
from emtc_trainer.saved import TrainedModel, load_model


@click.command()
@click.argument("model_file", type=NEW_FILE, metavar="MODEL")
@click.argument("files", nargs=-1, required=True, type=FILE, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON only.")
@click.option("--allow-seen", is_flag=True, help="Allow files the model was fitted on (the figures mean nothing).")
def evaluate(model_file: Path, files: tuple[Path, ...], *, as_json: bool, allow_seen: bool) -> None:
    """Judge MODEL on the rows of FILE...; rows with a label are attacks, the others benign."""
    model = load_model(model_file)
    test = load(files, "test", model.schema, say)
    if not allow_seen:
        refuse_seen(model, test.files)
    result = evaluation.evaluate(model, without_duplicates(test))
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
