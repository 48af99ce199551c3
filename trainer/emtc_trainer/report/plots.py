"""Plots of a report, each as the text of an SVG."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emtc_agent.packets import Bool, Float64

_BENIGN, _ATTACK, _MARK = "#4878a8", "#c44e52", "#2f2f2f"
_COLOURS = ("#2f2f2f", "#c44e52", "#4878a8", "#6a994e", "#e29578", "#8172b2", "#937860", "#64b5cd", "#b39b3e")
_LEAST_RATE = 1e-4


@contextmanager
def _drawing(width: float, height: float, columns: int = 1) -> Iterator[tuple[list[Axes], list[str]]]:
    """Axes side by side, whose SVG text is in the list when the block ends; equal data give equal text."""
    out: list[str] = []
    style: dict[Any, Any] = {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "emtc",
    }
    with mpl.rc_context(style):
        figure = Figure((width, height), layout="constrained")
        yield [figure.add_subplot(1, columns, number + 1) for number in range(columns)], out
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        out.append(text.getvalue()[text.getvalue().index("<svg") :])


def losses(training: Sequence[float], validation: Sequence[float]) -> str:
    """Loss by epoch."""
    with _drawing(5, 3) as ((axes,), out):
        epochs = range(1, len(training) + 1)
        axes.plot(epochs, training, color=_ATTACK, label="training (masked rows)")
        axes.plot(epochs, validation, color=_BENIGN, label="validation")
        axes.set(xlabel="epoch", ylabel="mean squared error", yscale="log")
        axes.legend(frameon=False)
    return out[0]


def densities(benign: Float64, families: Mapping[str, Float64], threshold: float) -> str:
    """Distribution of scores per family, benign first, as violins on a log axis."""
    names = ["benign", *families]
    logs = [np.log10(np.maximum(values, 1e-6)) for values in (benign, *families.values())]
    with _drawing(7, 0.4 * len(names) + 1.2) as ((axes,), out):
        parts: dict[str, Any] = axes.violinplot(logs, orientation="horizontal", widths=0.9, showextrema=False)
        for number, body in enumerate(parts["bodies"]):
            body.set(facecolor=_ATTACK if number else _BENIGN, alpha=0.7)
        axes.axvline(np.log10(threshold), color=_MARK, linewidth=1, linestyle="--", label="threshold")
        axes.set_yticks(range(1, len(names) + 1), names)
        axes.invert_yaxis()
        low, high = (int(edge) for edge in (np.floor(min(map(min, logs))), np.ceil(max(map(max, logs)))))
        axes.set_xticks(range(low, high + 1), [f"$10^{{{power}}}$" for power in range(low, high + 1)])
        axes.set_xlabel("score")
        axes.legend(frameon=False, loc="lower right")
    return out[0]


def trade_off(curves: Mapping[str, tuple[Float64, Float64]]) -> str:
    """Recall (weighted so that families count alike) over the false-alarm rate, and misses over it, log axes."""
    with _drawing(9, 4, columns=2) as ((left, right), out):
        for (name, (far, recall)), colour in zip(curves.items(), _COLOURS, strict=False):
            left.plot(far, recall, label=name, color=colour, linewidth=1.2)
            right.plot(far, np.maximum(1 - recall, 1e-3), color=colour, linewidth=1.2)
        left.set(xscale="log", xlim=(_LEAST_RATE, 1), ylim=(0, 1), xlabel="false-alarm rate", ylabel="recall")
        right.set(xscale="log", yscale="log", xlim=(_LEAST_RATE, 1), ylim=(1e-2, 1), xlabel="false-alarm rate")
        right.set_ylabel("miss rate")
        for axes in (left, right):
            axes.grid(alpha=0.3)
        left.legend(frameon=False, fontsize=8)
    return out[0]


def bars(values: Mapping[str, tuple[float, float, float]], label: str) -> str:
    """Values with intervals: name -> (value, low, high), between 0 and 1."""
    with _drawing(6, 0.32 * len(values) + 0.9) as ((axes,), out):
        for at, (value, low, high) in enumerate(values.values()):
            axes.barh(at, value, color=_BENIGN, alpha=0.8, height=0.6)
            axes.plot((low, high), (at, at), color=_MARK, linewidth=1.2)
        axes.set_yticks(range(len(values)), list(values))
        axes.invert_yaxis()
        axes.set(xlim=(0, 1.02), xlabel=label)
    return out[0]


def calibration(p_values: Float64) -> str:
    """Share of benign test windows with a p-value at most p, over p: on the diagonal if calibrated."""
    ordered = np.sort(np.maximum(p_values, 1e-6))
    with _drawing(4, 3.6) as ((axes,), out):
        axes.plot(ordered, np.arange(1, len(ordered) + 1) / len(ordered), color=_BENIGN, label="benign test windows")
        axes.plot((1e-4, 1), (1e-4, 1), color=_MARK, linewidth=0.8, linestyle="--", label="as promised")
        axes.set(xscale="log", yscale="log", xlim=(1e-4, 1), ylim=(1e-4, 1))
        axes.set(xlabel="p-value told", ylabel="share of windows below")
        axes.legend(frameon=False)
    return out[0]


def timeline(
    seconds: Float64,
    score: Float64,
    attack: Bool,
    threshold: float,
    attacks: Sequence[tuple[str, float, float, bool]],
) -> str:
    """A run: every window's score over time, and its attacks (name, from, to, detected)."""
    with _drawing(11, 4.2) as ((axes,), out):
        for mask, colour, name in ((~attack, _BENIGN, "benign window"), (attack, _ATTACK, "window of an attack")):
            axes.scatter(seconds[mask], np.maximum(score[mask], 1e-3), s=3, color=colour, label=name, linewidths=0)
        axes.axhline(threshold, color=_MARK, linewidth=0.8, linestyle="--")
        top = float(score.max()) * 1.5
        for name, begin, end, detected in attacks:
            axes.axvspan(begin, end, color=_ATTACK if detected else _MARK, alpha=0.08, linewidth=0)
            text = name.split("/")[-1] + ("" if detected else " (missed)")
            axes.text((begin + end) / 2, top, text, rotation=90, fontsize=6, ha="center", va="bottom")
        axes.set(yscale="log", xlabel="seconds", ylabel="score", ylim=(max(float(score.min()), 1e-3), top))
        axes.legend(framealpha=0.9, loc="lower right", markerscale=3)
    return out[0]
