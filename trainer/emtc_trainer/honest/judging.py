"""What a detector is worth on runs: attacks seen and how soon, false incidents, windows flagged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from emtc_agent.detector.calibration import p_values, weights
from emtc_agent.incidents.evidence import SECOND_US, Evidence
from emtc_agent.incidents.tracker import IncidentConfig
from emtc_agent.packets import Bool, Float64, Int64
from emtc_trainer.honest.recordings import Instance, Run
from emtc_trainer.operating import streams

_LEAST_SHARE = 0.5
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Operating:
    """What benign calibration makes of a score.

    Attributes:
        threshold: Windows above it are flagged.
        known: Table of p-values (``calibration.table``).
        level: Evidence that opens an incident.
    """

    threshold: float
    known: tuple[tuple[float, ...], tuple[float, ...]]
    level: float

    def weights(self, scores: Float64, config: IncidentConfig) -> Float64:
        """(N,) what each row adds to its endpoint's evidence."""
        return weights(p_values(scores, self.known), config.drift, config.cap)


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one attack.

    Attributes:
        name: ``"family/type"``.
        windows: Share of its windows above the threshold.
        after_s: Seconds of traffic from its first packet until its evidence sufficed; None if it never did.
    """

    name: str
    windows: float
    after_s: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A detector on some runs.

    Attributes:
        seen: Every attack.
        false_incidents: Incidents that benign windows alone would open.
        device_hours: Over which they were raised.
        window_far: Share of benign windows above the threshold.
    """

    seen: tuple[Seen, ...]
    false_incidents: int
    device_hours: float
    window_far: float

    @property
    def false_per_day(self) -> float:
        """False incidents per 24 device-hours."""
        return 24 * self.false_incidents / self.device_hours


def judge(
    runs: Sequence[Run], scores: Sequence[Float64], operating: Operating, config: IncidentConfig | None = None
) -> Verdict:
    """Judge scores.

    Args:
        runs: The runs.
        scores: (N,) per run, a score of every row.
        operating: What calibration made of the scores.
        config: How evidence is counted.
    """
    config = config or IncidentConfig()
    seen, false, benign = [], 0, []
    for run, score in zip(runs, scores, strict=True):
        flagged = np.asarray(score > operating.threshold)
        weight = operating.weights(score, config)
        benign.append(flagged[run.benign])
        false += _false_incidents(run, weight, operating.level, config)
        for one in run.instances:
            windows = float(flagged[one.held].mean()) if len(one.held) else 0.0
            seen.append(Seen(one.name, windows, _detected(run, one, weight, operating.level, config)))
    hours = sum(run.device_hours for run in runs)
    return Verdict(tuple(seen), false, hours, float(np.concatenate(benign).mean()))


def macro(seen: Iterable[Seen], value: str, by: str) -> float:
    """Mean over families (of the means over their types) or over types (of the means over their attacks).

    Args:
        seen: Attacks.
        value: ``"incident"`` (detected or not) or ``"window"`` (share of windows).
        by: ``"family"`` or ``"type"``.
    """
    types: dict[str, list[float]] = defaultdict(list)
    for one in seen:
        types[one.name].append(one.windows if value == "window" else float(one.after_s is not None))
    means = {name: float(np.mean(values)) for name, values in types.items()}
    if by == "type":
        return float(np.mean(list(means.values())))
    families: dict[str, list[float]] = defaultdict(list)
    for name, mean in means.items():
        families[name.split("/")[0]].append(mean)
    return float(np.mean([np.mean(values) for values in families.values()]))


def interval(seen: Sequence[Seen], value: str, by: str, seed: int = 7) -> tuple[float, float]:
    """95 % bootstrap interval of ``macro`` over the attacks of each type."""
    rng = np.random.default_rng(seed)
    types: dict[str, list[Seen]] = defaultdict(list)
    for one in seen:
        types[one.name].append(one)
    values = [
        macro([group[at] for group in types.values() for at in rng.integers(0, len(group), len(group))], value, by)
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def _detected(run: Run, instance: Instance, weight: Float64, level: float, config: IncidentConfig) -> float | None:
    """Seconds until an endpoint's evidence suffices, if at least half of it is of windows that hold the attack."""
    held = np.isin(instance.during, instance.held)
    rows = run.rows
    earliest: float | None = None
    for endpoint in dict.fromkeys(rows.endpoint[instance.during].tolist()):
        mine = rows.endpoint[instance.during] == endpoint
        at = _opens(rows.last_us[instance.during[mine]], weight[instance.during[mine]], held[mine], level, config)
        if at is not None:
            after_s = max(at - instance.first_us, 0) / SECOND_US
            earliest = after_s if earliest is None else min(earliest, after_s)
    return earliest


def _opens(times_us: Int64, weight: Float64, held: Bool, level: float, config: IncidentConfig) -> int | None:
    evidence = Evidence(config.half_life_s)
    odd = odd_and_held = 0
    for ts_us, one, holds in zip(times_us.tolist(), weight.tolist(), held.tolist(), strict=True):
        odd += one > 0
        odd_and_held += one > 0 and holds
        if evidence.add(ts_us, one) >= level and odd_and_held >= _LEAST_SHARE * odd:
            return int(ts_us)
    return None


def _false_incidents(run: Run, weight: Float64, level: float, config: IncidentConfig) -> int:
    """Incidents that benign windows alone would open."""
    benign = streams(run.rows.endpoint[run.benign], run.rows.last_us[run.benign], weight[run.benign])
    return sum(len(stream.opened(level, config)) for stream in benign)
