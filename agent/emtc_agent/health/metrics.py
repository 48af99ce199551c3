"""Metrics as a text file that Prometheus' node_exporter picks up (its textfile collector).

Format: https://prometheus.io/docs/instrumenting/exposition_formats/ (0.0.4). The collector reads ``*.prom`` of its
folder whenever it is asked, so a file appears whole or not at all; one that a power cut takes is written anew.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

_NAME = re.compile(r"emtc_[a-z0-9_]*[a-z0-9]")
_LABEL = re.compile(r"[a-z][a-z0-9_]*")
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})
_VALUE_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_MODE = 0o644  # node_exporter is another user


@dataclass(frozen=True, slots=True)
class Metric:
    """One number.

    Attributes:
        name: ``emtc_...`` with its unit; a counter ends in ``_total``, a gauge does not.
        kind: A counter only grows until the process ends.
        help: What it counts.
        value: The number.
        labels: What tells it from others of its name.

    Raises:
        ValueError: A name that Prometheus would not take or that breaks its rules.
    """

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or (self.kind == "counter") != self.name.endswith("_total"):
            raise ValueError(f"{self.name!r} is no name for a {self.kind}")
        for label in self.labels:
            if not _LABEL.fullmatch(label):
                raise ValueError(f"{self.name}: {label!r} is no name for a label")


def render(metrics: Iterable[Metric]) -> str:
    """The text of a metrics file, metrics of a name together in the order in which the names came.

    Raises:
        ValueError: One name with two kinds or helps, or the same labels twice.
    """
    families: dict[str, list[Metric]] = {}
    for metric in metrics:
        families.setdefault(metric.name, []).append(metric)
    return "".join(f"{line}\n" for family in families.values() for line in _lines(family))


def write_metrics(path: Path, metrics: Iterable[Metric]) -> None:
    """Replace a metrics file at once.

    Args:
        path: ``NAME.prom`` in the collector's folder.
        metrics: All of them.

    Raises:
        OSError: As the system says; the old file is still there.
        ValueError: See ``render``.
    """
    text = render(metrics)
    part = path.with_name(f".{path.name}.part")  # not *.prom: the collector must not see it
    try:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            os.fchmod(file.fileno(), _MODE)
            file.write(text)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _lines(family: list[Metric]) -> list[str]:
    first = family[0]
    if any((one.kind, one.help) != (first.kind, first.help) for one in family):
        raise ValueError(f"{first.name}: two kinds or helps")
    samples = {_labels(one.labels): _number(one.value) for one in family}
    if len(samples) < len(family):
        raise ValueError(f"{first.name}: the same labels twice")
    head = [f"# HELP {first.name} {first.help.translate(_HELP_ESCAPES)}", f"# TYPE {first.name} {first.kind}"]
    return head + [f"{first.name}{labels} {value}" for labels, value in samples.items()]


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    inside = ",".join(f'{name}="{value.translate(_VALUE_ESCAPES)}"' for name, value in sorted(labels.items()))
    return f"{{{inside}}}"


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else f"{'+' if value > 0 else '-'}Inf"
