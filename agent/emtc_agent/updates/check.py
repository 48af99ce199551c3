"""Self-test of a bundle before it is switched to: signed, meant, fitting, and scoring here as it was proved to.

The gates are those with which ``emtc-export`` proves a bundle, for the one model in the one runtime that will be
used. They are run again because the processor and the runtime's version are others here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emtc_agent.detector import Bundle, Runtime, load_bundle, open_runtime, read_member
from emtc_agent.packets import Bool, Float64
from emtc_agent.updates import check_rows
from emtc_agent.updates.check_rows import ATTACK, BENIGN, FAR_OUT, ODD, CheckRows
from emtc_contract.bundle import CHECK_ROWS
from emtc_contract.errors import BundleError
from emtc_contract.schema import FeatureSchema

# The figures are those of emtc_export.gates and emtc_export.check_rows; a test holds them equal.
MAX_SCORE_DRIFT = 1e-5
MAX_AUC_DROP = 0.002
MIN_RANK_CORRELATION = 0.99
MAX_FLIPS = 0.005
_NEAR = 1.5
_LOW = 0.1
_SAME_MODEL = 1e-5
_BATCHES = (0, 1, 33)


@dataclass(frozen=True, slots=True)
class Choice:
    """Arguments of ``open_runtime``: what runs the model, and how."""

    runtime: str | None = None
    precision: str | None = None
    threads: int = 1

    def open(self, bundle: Bundle) -> Runtime:
        """The bundle's model, loaded and warm; raises BundleError or RuntimeMissingError."""
        return open_runtime(bundle, self.runtime, self.precision, self.threads)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A bundle with its model, ready to score."""

    bundle: Bundle
    runtime: Runtime


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure against the worst that is allowed."""

    name: str
    value: float
    limit: float
    holds: bool


def require_meant(bundle: Bundle, name: str, version: int) -> None:
    """Raise BundleError unless the bundle is the announced one."""
    manifest = bundle.manifest
    if (manifest.name, manifest.version) != (name, version):
        raise BundleError(
            f"{bundle.name}: holds {manifest.name!r} version {manifest.version}, "
            f"announced were {name!r} version {version}"
        )


def self_test(
    path: Path, keys: Sequence[Path], name: str, version: int, schema: FeatureSchema, how: Choice
) -> Loaded:
    """Load a downloaded bundle as it will be used and hold it against the rows it carries.

    Args:
        path: The bundle, its signature beside it.
        keys: Public keys, at least one.
        name, version: What was announced.
        schema: The features this agent extracts.
        how: The runtime that will be used.

    Raises:
        BundleError: It must not be used; says why.
        SchemaError: It was made for other features.
        RuntimeMissingError: The runtime is not installed.
    """
    if not keys:
        raise BundleError(f"{path}: no key is trusted, so no bundle from elsewhere is")
    bundle = load_bundle(path, keys)
    require_meant(bundle, name, version)
    schema.require_same(bundle.manifest.schema_name, bundle.manifest.schema_digest, str(path))
    if CHECK_ROWS not in bundle.manifest.digests:
        raise BundleError(f"{path}: has no {CHECK_ROWS} to be tested with")
    check = check_rows.decode(read_member(path, CHECK_ROWS), len(schema.features), f"{path}: {CHECK_ROWS}")
    runtime = how.open(bundle)
    for figure in measure(runtime, check):
        if not figure.holds:
            raise BundleError(
                f"{path}: {runtime.artifact.file} in {runtime.name}: {figure.name} {figure.value:.3g}, "
                f"allowed {figure.limit:.3g}"
            )
    return Loaded(bundle, runtime)


def measure(runtime: Runtime, check: CheckRows) -> list[Measured]:
    """The gates of one model in one runtime."""
    got = runtime.run(check.rows).score.astype(np.float64)
    measured = [_at_most("scores not finite", float((~np.isfinite(got)).sum()), 0)]
    if measured[0].holds:
        measured += _fp32(check, got) if runtime.artifact.precision == "fp32" else _int8(check, got)
        measured += _verdicts(check, got > runtime.artifact.threshold)
        measured.append(_batches(runtime, check, got))
    return measured


def _fp32(check: CheckRows, got: Float64) -> Iterator[Measured]:
    drift = np.abs(got - check.score) / np.maximum(check.score, check.threshold * _LOW)
    yield _at_most("score drift", float(drift.max()), MAX_SCORE_DRIFT)


def _int8(check: CheckRows, got: Float64) -> Iterator[Measured]:
    benign, real = check.of_kind(BENIGN), check.of_kind(BENIGN, ATTACK)
    attack = check.of_kind(ATTACK)[real]
    if attack.all() or attack.sum() < 2 or benign.sum() < 2:
        raise BundleError(f"{CHECK_ROWS}: {int(benign.sum())} benign and {int(attack.sum())} attack rows")
    drop = _auc(attack, check.score[real]) - _auc(attack, got[real])
    yield _at_most("AUC drop", drop, MAX_AUC_DROP)
    same_order = float(np.corrcoef(_ranks(check.score[benign]), _ranks(got[benign]))[0, 1])
    yield Measured("benign rank correlation", same_order, MIN_RANK_CORRELATION, same_order >= MIN_RANK_CORRELATION)


def _verdicts(check: CheckRows, verdict: Bool) -> Iterator[Measured]:
    differs = verdict != (check.score > check.threshold)
    real = check.of_kind(BENIGN, ATTACK)
    if not real.any():
        raise BundleError(f"{CHECK_ROWS}: no benign and no attack rows")
    yield _at_most("verdicts that differ", float(differs[real].mean()), MAX_FLIPS)
    clear = np.abs(np.log(np.maximum(check.score, 1e-9) / check.threshold)) > np.log(_NEAR)
    strange = check.of_kind(FAR_OUT, ODD) & clear
    yield _at_most("wrong verdicts on impossible rows", float(differs[strange].sum()), 0)


def _batches(runtime: Runtime, check: CheckRows, expected: Float64) -> Measured:
    """A row scores the same in a batch of any size."""
    wrong = 0
    for size in _BATCHES:
        index = np.arange(size) % len(expected)
        got = runtime.run(check.rows[index]).score
        same = got.shape == (size,) and np.allclose(got, expected[index], rtol=_SAME_MODEL, atol=0)
        wrong += not same
    return _at_most("batches that score differently", float(wrong), 0)


def _at_most(name: str, value: float, limit: float) -> Measured:
    return Measured(name, value, limit, value <= limit)


def _auc(attack: Bool, score: Float64) -> float:
    """Probability that an attack scores above a benign row, ties counted half (Mann-Whitney)."""
    positives, negatives = int(attack.sum()), int((~attack).sum())
    return (float(_ranks(score)[attack].sum()) - positives * (positives + 1) / 2) / (positives * negatives)


def _ranks(values: Float64) -> Float64:
    """(N,) ranks from 1; equal values share their mean rank."""
    _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[inverse]
