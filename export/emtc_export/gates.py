"""Gates: what must hold for every exported model in every runtime, or there is no bundle.

Needs numpy and a runtime only, so that it also runs where the bundle will.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from emtc_agent.detector import RUNTIMES, Bundle, Runtime, open_runtime
from emtc_agent.packets import Bool, Float64
from emtc_contract.errors import BundleError
from emtc_export.check_rows import ATTACK, BENIGN, FAR_OUT, ODD, CheckRows
from emtc_trainer.metrics import auc_roc, rank_correlation

MAX_AUC_DROP = 0.002
MIN_RANK_CORRELATION = 0.99
MAX_FLIPS = 0.005
BATCHES = (0, 1, 33, 10_000)
_NEAR = 1.5  # a quantized score this factor around the threshold may fall on either side
_LOW = 0.1  # of the threshold: float32 has fewer digits for lower scores, in torch too (docs/decisions/011-export.md)
_SAME_MODEL = 1e-5  # relative, between batches of different sizes


@dataclass(frozen=True, slots=True)
class Gate:
    """One measurement against its limit.

    Attributes:
        file: Artifact.
        runtime: What ran it.
        name: What was measured.
        value: The figure.
        limit: The worst that is allowed.
        holds: Whether it is.
    """

    file: str
    runtime: str
    name: str
    value: float
    limit: float
    holds: bool


def measure(runtime: Runtime, check: CheckRows) -> list[Gate]:
    """All gates of one model in one runtime."""
    got = runtime.run(check.rows).score.astype(np.float64)
    gates = [_at_most("scores not finite", float((~np.isfinite(got)).sum()), 0)]
    if gates[0][-1]:
        gates += _of_precision(runtime, check, got)
        gates += _everywhere(runtime, check, got)
    return [Gate(runtime.artifact.file, runtime.name, *gate) for gate in gates]


_Measured = tuple[str, float, float, bool]


def _of_precision(runtime: Runtime, check: CheckRows, got: Float64) -> Iterator[_Measured]:
    """How near the scores are to those of the trained network."""
    benign, real = check.of_kind(BENIGN), check.of_kind(BENIGN, ATTACK)
    if runtime.artifact.precision == "fp32":
        drift = np.abs(got - check.score) / np.maximum(check.score, check.threshold * _LOW)
        yield _at_most("score drift", float(drift.max()), check.drift)
    else:
        attack = check.of_kind(ATTACK)[real]
        drop = auc_roc(attack, check.score[real]) - auc_roc(attack, got[real])
        yield _at_most("AUC drop", drop, MAX_AUC_DROP)
        yield _at_least("benign rank correlation", rank_correlation(check.score[benign], got[benign]))
    flips = _verdict(runtime, got)[real] != (check.score > check.threshold)[real]
    yield _at_most("verdicts that differ", float(flips.mean()), MAX_FLIPS)


def _everywhere(runtime: Runtime, check: CheckRows, got: Float64) -> Iterator[_Measured]:
    """Rows no extractor gives get the right verdict; a row scores the same in a batch of any size."""
    clear = np.abs(np.log(np.maximum(check.score, 1e-9) / check.threshold)) > np.log(_NEAR)
    strange = check.of_kind(FAR_OUT, ODD) & clear
    wrong = _verdict(runtime, got)[strange] != (check.score > check.threshold)[strange]
    yield _at_most("wrong verdicts on impossible rows", float(wrong.sum()), 0)
    yield _at_most("batches that score differently", float(sum(_differs(runtime, check, got))), 0)


def _verdict(runtime: Runtime, got: Float64) -> Bool:
    return got > runtime.artifact.threshold


def _differs(runtime: Runtime, check: CheckRows, expected: Float64) -> Iterator[bool]:
    for size in BATCHES:
        index = np.arange(size) % len(expected)
        got = runtime.run(check.rows[index]).score
        yield got.shape != (size,) or not np.allclose(got, expected[index], rtol=_SAME_MODEL, atol=0)


def _at_most(name: str, value: float, limit: float) -> _Measured:
    return name, value, limit, value <= limit


def _at_least(name: str, value: float) -> _Measured:
    return name, value, MIN_RANK_CORRELATION, value >= MIN_RANK_CORRELATION


def of_bundle(bundle: Bundle, check: CheckRows) -> list[Gate]:
    """All gates of every model in every runtime that is installed here; raises RuntimeMissingError if none is."""
    return [gate for runtime in runtimes_of(bundle) for gate in measure(runtime, check)]


def runtimes_of(bundle: Bundle) -> list[Runtime]:
    """Every model in every runtime that is installed here; raises RuntimeMissingError if none is."""
    columns = len(bundle.schema.features)
    runtimes = [
        kind.load(bundle.models[artifact.file], artifact, columns)
        for artifact in bundle.manifest.artifacts
        for kind in RUNTIMES
        if kind.installed and kind.form == artifact.runtime
    ]
    return runtimes or [open_runtime(bundle)]  # which says why there is none


def require(gates: list[Gate]) -> None:
    """Raise BundleError that names the first gate that does not hold."""
    for gate in gates:
        if not gate.holds:
            raise BundleError(
                f"{gate.file} in {gate.runtime}: {gate.name} {gate.value:.3g}, allowed {gate.limit:.3g}"
            )
