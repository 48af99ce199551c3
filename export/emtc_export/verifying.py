"""What a bundle is measured on, and how the result is shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from emtc_agent.detector import Bundle, open_runtime, read_member
from emtc_contract.bundle import CHECK_ROWS
from emtc_contract.errors import BundleError
from emtc_export import check_rows, incidents
from emtc_export.check_rows import ATTACK, BENIGN, MAX_SCORE_DRIFT, CheckRows
from emtc_export.gates import Gate

_ROWS = (".csv", ".parquet")  # files of rows, not of packets


def stored_rows(bundle: Bundle, path: Path) -> CheckRows:
    """The rows a bundle carries."""
    if CHECK_ROWS not in bundle.manifest.digests:
        raise BundleError(f"{path}: has no {CHECK_ROWS}: it was made by an older exporter")
    return check_rows.decode(read_member(path, CHECK_ROWS), len(bundle.schema.features), f"{path}: {CHECK_ROWS}")


def labelled_rows(bundle: Bundle, files: Sequence[Path]) -> CheckRows:
    """Labelled rows; with no trained network at hand, the bundle's fp32 model gives the scores to compare with.

    Those are rounded themselves, so two runtimes may differ twice as much as each may from the network.
    """
    from emtc_trainer.data import load  # readers that only the desktop has

    data = load(files, "check", bundle.schema, lambda _: None)
    attack = data.label != ""
    if attack.all() or not attack.any():
        raise BundleError(f"{files[0]}: benign and attack rows are needed, there are {int(attack.sum())} attack rows")
    runtime = open_runtime(bundle, precision="fp32")
    kind = np.where(attack, ATTACK, BENIGN)
    score = runtime.run(data.features).score.astype(np.float64)
    return CheckRows(data.features, kind, score, runtime.artifact.threshold, 2 * MAX_SCORE_DRIFT)


def same_incidents(bundle: Bundle, files: Sequence[Path]) -> list[Gate]:
    """Whether every model tells the same incidents, for those files that are captures or hold one."""
    from emtc_trainer.data import capture_of

    captures = [capture_of(file) if file.is_dir() else file for file in files if file.suffix not in _ROWS]
    return incidents.measure(bundle, captures) if captures else []


def table(measured: Sequence[Gate], title: str) -> Table:
    """One line per gate."""
    shown = Table("model", "runtime", "gate", title=title)
    for heading in ("figure", "limit", "holds"):
        shown.add_column(heading, justify="right")
    for gate in measured:
        holds = "yes" if gate.holds else "NO"
        shown.add_row(gate.file, gate.runtime, gate.name, f"{gate.value:.3g}", f"{gate.limit:g}", holds)
    return shown
