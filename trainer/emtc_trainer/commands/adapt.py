"""``emtc-trainer adapt``: a model taken to another site."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from emtc_agent.detector.calibration import table as calibration_table
from emtc_contract.errors import InputError
from emtc_trainer.adapting import DENSITY, STEPS, AdaptConfig, device_hours, steps
from emtc_trainer.commands.options import FILE, NEW_FILE, epochs_shown, say
from emtc_trainer.data import capture_of, digest, load, without_duplicates
from emtc_trainer.honest.judging import Operating, Verdict, judge, macro
from emtc_trainer.honest.recordings import Run, read_run
from emtc_trainer.saved import TrainedModel, load_model, save_model
from emtc_trainer.training import score


@click.command()
@click.argument("model_file", type=NEW_FILE, metavar="MODEL")
@click.option(
    "--site",
    "site",
    multiple=True,
    type=FILE,
    required=True,
    help="Benign rows of the site: learned.csv of a gateway, feature files, captures, recordings; repeat.",
)
@click.option("--judge", "judged", multiple=True, type=FILE, help="Recordings of the site with attacks; repeat.")
@click.option("-o", "--output", type=NEW_FILE, required=True, help="adapted.pt")
@click.option("--step", type=click.Choice(STEPS), default=DENSITY, show_default=True, help="Which step is written.")
@click.option("--epochs", type=click.IntRange(1, 10_000), default=AdaptConfig().epochs, show_default=True)
@click.option("--seed", type=int, default=7, show_default=True)
def adapt(
    model_file: Path,
    site: tuple[Path, ...],
    judged: tuple[Path, ...],
    output: Path,
    step: str,
    epochs: int,
    seed: int,
) -> None:
    """Adapt MODEL to a site, step by step: thresholds, scaling, density, last layer, all weights, and from scratch.

    The latest quarter of the site's rows sets the thresholds, nothing is fitted on it. With --judge each step is told
    beside the others by what it sees and by its false incidents.
    """
    model = load_model(model_file)
    _refuse_seen(site, judged)
    rows = load(site, "site", model.schema, say)
    benign = without_duplicates(rows.benign)
    say(f"{len(benign)} benign rows of {device_hours(benign):.1f} device-hours")
    runs = [read_run(folder, model.schema) for folder in judged]
    lines = []
    config = AdaptConfig(epochs=epochs, seed=seed)
    with epochs_shown(3 * epochs) as progress:
        for name, one in steps(model, benign, config, progress, say):
            lines.append((name, one, _verdict(one, runs) if runs else None))
            if name == step:
                save_model(output, one)
    _show(lines)
    say(f"{output}: the model after {step!r}")


def _refuse_seen(site: tuple[Path, ...], judged: tuple[Path, ...]) -> None:
    seen = {digest(capture_of(path) if path.is_dir() else path) for path in site}
    for folder in judged:
        if digest(capture_of(folder)) in seen:
            raise InputError(f"{folder}: is learned from; figures on it would mean nothing")


def _verdict(model: TrainedModel, runs: list[Run]) -> Verdict:
    known = calibration_table(score(model.module, model.calibration))
    scores = [score(model.module, run.rows.features.astype("float32")) for run in runs]
    return judge(runs, scores, Operating(model.threshold, known, model.open_level))


def _show(lines: list[tuple[str, TrainedModel, Verdict | None]]) -> None:
    shown = Table()
    shown.add_column("step", no_wrap=True)
    for head in ("threshold", "opens at", "families", "types", "false / 24 device-hours", "windows flagged"):
        shown.add_column(head)
    for name, model, verdict in lines:
        limits = (name, f"{model.threshold:.2f}", f"{model.open_level:.2f}")
        if verdict is None:
            shown.add_row(*limits, *("not judged",) * 4)
            continue
        shown.add_row(
            *limits,
            f"{macro(verdict.seen, 'incident', 'family'):.3f}",
            f"{macro(verdict.seen, 'incident', 'type'):.3f}",
            f"{verdict.false_per_day:.1f} ({verdict.false_incidents} in {verdict.device_hours:.0f} h)",
            f"{verdict.window_far:.2%}",
        )
    Console().print(shown)
