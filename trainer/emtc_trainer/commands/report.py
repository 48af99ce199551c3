"""``emtc-trainer report``: a detector and its rivals on whole runs, as a page."""

from __future__ import annotations

from pathlib import Path

import click

from emtc_agent.feature_files import Replacement
from emtc_contract.errors import InputError
from emtc_trainer.commands.options import FILE, NEW_FILE, say
from emtc_trainer.data import capture_of, digest
from emtc_trainer.honest.baselines import BASELINES
from emtc_trainer.honest.comparison import Compared, compare
from emtc_trainer.honest.judging import macro
from emtc_trainer.honest.recordings import Run, join_benign, read_run
from emtc_trainer.report.build import build
from emtc_trainer.saved import TrainedModel, load_model
from emtc_trainer.training import score

OURS = "emtc-guard"


@click.command()
@click.argument("model_file", type=NEW_FILE, metavar="MODEL")
@click.option(
    "--train", "train", multiple=True, type=FILE, required=True, help="Benign recordings for rivals; repeat."
)
@click.option("--calibrate", multiple=True, type=FILE, required=True, help="Benign recordings for limits; repeat.")
@click.option("--test", "test", multiple=True, type=FILE, required=True, help="Recordings with attacks; repeat.")
@click.option("-o", "--output", type=NEW_FILE, required=True, metavar="PAGE.html", help="PAGE.md is written as well.")
@click.option("--rivals/--no-rivals", default=True, show_default=True, help="Fit and judge the baselines too.")
@click.option("--seed", type=int, default=7, show_default=True, help="Of the baselines.")
def report(
    model_file: Path,
    train: tuple[Path, ...],
    calibrate: tuple[Path, ...],
    test: tuple[Path, ...],
    output: Path,
    *,
    rivals: bool,
    seed: int,
) -> None:
    """Judge MODEL by attacks seen and false incidents, beside rules and textbook methods on the same runs.

    Recordings are folders that `emtc-lab run` made. What was trained or calibrated on cannot be tested on.
    """
    model = load_model(model_file)
    _refuse_seen(model, test)
    runs = [[_read(folder, model) for folder in folders] for folders in (train, calibrate, test)]
    named = [(OURS, lambda rows: score(model.module, rows))]
    if rivals:
        benign = join_benign(runs[0])
        for one in BASELINES:
            say(f"fitting {one.name}")
            named.append((one.name, one.fit(benign, model.schema, seed)))
    results = [_told(one) for one in compare(named, runs[1], runs[2])]
    page = build(model, results, runs[0], runs[2])
    _write(output, page.html())
    _write(output.with_suffix(".md"), page.markdown())
    say(f"{output} and {output.with_suffix('.md').name}")


def _read(folder: Path, model: TrainedModel) -> Run:
    say(f"reading {folder}")
    return read_run(folder, model.schema)


def _refuse_seen(model: TrainedModel, folders: tuple[Path, ...]) -> None:
    seen = {file.sha256 for file in model.provenance.files}
    for folder in folders:
        if digest(capture_of(folder)) in seen:
            raise InputError(f"{folder}: the model was fitted on this recording; figures on it would mean nothing")


def _told(one: Compared) -> Compared:
    verdict = one.verdicts[0]
    if verdict is None:
        raise InputError("the calibration recordings hold fewer than 1,000 benign windows: too few for any limit")
    say(
        f"{one.name}: AUC {one.auc:.4f}, families {macro(verdict.seen, 'incident', 'family'):.3f}, "
        f"types {macro(verdict.seen, 'incident', 'type'):.3f}, "
        f"{verdict.false_incidents} false incidents in {verdict.device_hours:.0f} device-hours"
    )
    return one


def _write(path: Path, text: str) -> None:
    replacement = Replacement(path)
    try:
        replacement.path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    replacement.finish(complete=True)
