"""What the report says: a detector beside what people use, on runs that nobody trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from emtc_agent.detector.calibration import p_values
from emtc_agent.packets import Bool, Float64
from emtc_trainer.honest.comparison import BUDGETS, Compared
from emtc_trainer.honest.judging import Seen, Verdict, interval, macro
from emtc_trainer.honest.recordings import Run
from emtc_trainer.metrics import auc_roc
from emtc_trainer.report import plots
from emtc_trainer.report.page import Page
from emtc_trainer.saved import TrainedModel

_SUSPICIOUS_AUC = 0.95
_TOP_FEATURES = 12
_FARS = np.geomspace(1e-4, 1, 120)
_CURVES = 6


def build(model: TrainedModel, results: Sequence[Compared], train: Sequence[Run], test: Sequence[Run]) -> Page:
    """The page.

    Args:
        model: The detector; the first of ``results``.
        results: Detectors, compared.
        train: Benign runs that were trained on; only named.
        test: The runs that were judged on.
    """
    page = Page(f"Detector {model.preset}, judged on {len(test)} runs it has not seen")
    ours = results[0]
    verdict = _first(ours)
    page.text(
        f"Trained on {len(train)} benign runs ({model.metrics['train_rows']:.0f} windows), calibrated on others. "
        f"Tested on {', '.join(run.name for run in test)}: {len(verdict.seen)} attacks of "
        f"{len({one.name for one in verdict.seen})} types over {verdict.device_hours:.0f} device-hours. Runs are "
        "split whole, never by row."
    )
    _incidents(page, results)
    _windows(page, results, test)
    _types(page, verdict)
    _plots(page, model, results, test)
    _leaks(page, model, test)
    return page


def _first(result: Compared) -> Verdict:
    verdict = result.verdicts[0]
    assert verdict is not None, "calibration supports the first budget, or there is no operating point either"
    return verdict


def _incidents(page: Page, results: Sequence[Compared]) -> None:
    page.heading("Incidents")
    rows = []
    for one in results:
        verdict = _first(one)
        rows.append(
            [
                one.name,
                _with_interval(verdict.seen, "incident", "family"),
                _with_interval(verdict.seen, "incident", "type"),
                f"{verdict.false_incidents}",
                f"{verdict.false_per_day:.2f}",
                f"{one.operating.level:.1f}",
            ]
        )
    header = ["detector", "recall, families", "recall, types", "false incidents", "per 24 device-hours", "level"]
    page.table(header, rows, results[0].name)
    page.note(
        "Recall: mean over families of the mean over their types, or over types; in brackets 95 % bootstrap "
        "intervals over attacks. An attack counts as seen if an endpoint it involves gathers enough evidence before "
        "five seconds after its last packet, at least half of it in windows that hold its packets. False incidents "
        "are those that benign windows alone would open. All scores go through the same calibration and evidence."
    )


def _windows(page: Page, results: Sequence[Compared], test: Sequence[Run]) -> None:
    page.heading("Windows")
    rows = []
    for one in results:
        cells = [one.name, f"{one.auc:.4f}"]
        for verdict in one.verdicts:
            if verdict is None:
                cells += ["", ""]
            else:
                cells += [_with_interval(verdict.seen, "window", "family"), f"{verdict.window_far:.4f}"]
        _, exact = _curve(one, test, np.array(BUDGETS))
        rows.append([*cells, *(f"{recall:.3f}" for recall in exact)])
    header = ["detector", "AUC"]
    for budget in BUDGETS:
        header += [f"recall, families, at FAR {budget:g}", "FAR met"]
    header += [f"recall at exactly {budget:g}" for budget in BUDGETS]
    page.table(header, rows, results[0].name)
    page.note(
        "Thresholds are quantiles of benign calibration windows; the FAR met is that of the test runs. Empty where "
        "calibration has too few windows to say. The last columns compare scores at the same false-alarm rate: their "
        "thresholds are quantiles of the benign test windows, which no gateway could know."
    )


def _types(page: Page, verdict: Verdict) -> None:
    page.heading("Attacks by type")
    types: dict[str, list[Seen]] = defaultdict(list)
    for one in verdict.seen:
        types[one.name].append(one)
    rows = []
    for name, group in sorted(types.items()):
        times = [one.after_s for one in group if one.after_s is not None]
        rows.append(
            [
                name,
                f"{len(times)} of {len(group)}",
                f"{np.median(times):.1f}" if times else "",
                f"{np.mean([one.windows for one in group]):.2f}",
            ]
        )
    page.table(["type", "seen", "median seconds", f"windows at FAR {BUDGETS[0]:g}"], rows)
    families: dict[str, tuple[float, float, float]] = {}
    for family in sorted({name.split("/")[0] for name in types}):
        group = [one for one in verdict.seen if one.name.startswith(f"{family}/")]
        families[family] = (macro(group, "incident", "type"), *interval(group, "incident", "type"))
    page.plot(plots.bars(families, "recall"), "Attacks seen by family, with 95 % intervals.")


def _plots(page: Page, model: TrainedModel, results: Sequence[Compared], test: Sequence[Run]) -> None:
    ours = results[0]
    page.heading("Training and scores")
    if model.losses:
        page.plot(plots.losses(*zip(*model.losses, strict=True)), "Loss by epoch.")
    families: dict[str, list[Float64]] = defaultdict(list)
    for run, score in zip(test, ours.scores, strict=True):
        for one in run.instances:
            families[one.family].append(score[one.held])
    benign = np.concatenate([score[run.benign] for run, score in zip(test, ours.scores, strict=True)])
    joined = {name: np.concatenate(parts) for name, parts in sorted(families.items())}
    threshold = ours.operating.threshold
    page.plot(plots.densities(benign, joined, threshold), "Scores of test windows; the line is the window threshold.")
    page.plot(
        plots.calibration(p_values(benign, ours.operating.known)),
        "p-values of benign test windows: above the diagonal they are rarer on paper than on these runs.",
    )
    page.heading("Trade-off")
    curves = {one.name: _curve(one, test) for one in results[:_CURVES]}
    page.plot(
        plots.trade_off(curves),
        "Windows seen (mean over families) and missed, over the false-alarm rate on benign test windows; log axes.",
    )
    page.heading("One run")
    page.plot(_timeline(test[0], ours), f"{test[0].name}: every window, and when attacks ran (grey: missed).")


def _curve(one: Compared, test: Sequence[Run], fars: Float64 = _FARS) -> tuple[Float64, Float64]:
    """(far, recall) with thresholds from the benign test windows themselves."""
    benign = np.concatenate([score[run.benign] for run, score in zip(test, one.scores, strict=True)])
    limits = np.quantile(benign, 1 - fars, method="higher")
    families: dict[str, list[Float64]] = defaultdict(list)
    for run, score in zip(test, one.scores, strict=True):
        for instance in run.instances:
            if len(instance.held):
                families[instance.family].append((score[instance.held][:, None] > limits).mean(axis=0))
    return fars, np.mean([np.mean(parts, axis=0) for parts in families.values()], axis=0)


def _timeline(run: Run, ours: Compared) -> str:
    start_us = int(run.rows.first_us.min())
    seen = _first(ours).seen[: len(run.instances)]
    attacks = [
        (
            one.name,
            (one.first_us - start_us) / 1e6,
            (int(run.rows.last_us[one.held].max()) - start_us) / 1e6,
            known.after_s is not None,
        )
        for one, known in zip(run.instances, seen, strict=True)
        if len(one.held)
    ]
    attack: Bool = run.rows.label != ""
    shown = attack | run.benign
    seconds = (run.rows.last_us - start_us) / 1e6
    return plots.timeline(seconds[shown], ours.scores[0][shown], attack[shown], ours.operating.threshold, attacks)


def _leaks(page: Page, model: TrainedModel, test: Sequence[Run]) -> None:
    page.heading("Single features")
    held = np.concatenate([run.rows.features[run.rows.label != ""] for run in test])
    benign = np.concatenate([run.rows.features[run.benign] for run in test])
    attack = np.arange(len(held) + len(benign)) < len(held)
    both = np.concatenate([held, benign])
    areas = [auc_roc(attack, both[:, column]) for column in range(both.shape[1])]
    order = np.argsort([-max(area, 1 - area) for area in areas])[:_TOP_FEATURES]
    rows = [[model.schema.columns[at], f"{max(areas[at], 1 - areas[at]):.3f}"] for at in order.tolist()]
    page.table(["feature", "AUC alone"], rows)
    worst = max(max(area, 1 - area) for area in areas)
    page.note(
        "All classes have the same windows, so none of these is an artefact of how windows were cut. "
        + (
            f"None alone reaches {_SUSPICIOUS_AUC}."
            if worst < _SUSPICIOUS_AUC
            else f"Above {_SUSPICIOUS_AUC} a feature must be explained before any figure here is believed."
        )
    )


def _with_interval(seen: Sequence[Seen], value: str, by: str) -> str:
    low, high = interval(seen, value, by)
    return f"{macro(seen, value, by):.3f} ({low:.3f}-{high:.3f})"
