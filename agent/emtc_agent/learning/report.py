"""What learning did, for people and for messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from emtc_agent.addresses import endpoint_text
from emtc_agent.learning.quarantine import ODD, Tally
from emtc_agent.learning.rows import Key
from emtc_agent.learning.trial import Figures

_TOLD = 8
_MOST_ODD = 0.01


class LearnReport(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a time of learning.

    Attributes:
        learned: Whether an overlay was written.
        reason: Why not, if not.
        trusted: Whether an operator vouched for the traffic.
        seconds: How long it took.
        seen: Windows seen.
        sampled: Windows in the sample; the learned ones.
        endpoints: Endpoints they are of.
        refused: Windows kept out, by reason.
        refused_of: The endpoints that most of them are of.
        odd_of: Endpoints of which most odd windows came in because the site is trusted.
        trial_windows, trial_device_hours: What ``before`` and ``after`` were measured on.
        before, after: Figures on it.
        lighter: Features with the lowest weights, and these.
    """

    learned: bool
    reason: str
    trusted: bool
    seconds: float
    seen: int
    sampled: int
    endpoints: int
    refused: dict[str, int]
    refused_of: dict[str, int]
    odd_of: dict[str, int]
    trial_windows: int
    trial_device_hours: float
    before: Figures | None = None
    after: Figures | None = None
    lighter: dict[str, float] = {}


class LearnState(msgspec.Struct, frozen=True, kw_only=True):
    """How learning stands.

    Attributes:
        active: Whether it goes on.
        trusted: Whether an operator vouched for the traffic.
        elapsed_s, seconds: How long it went on, and how long it shall.
        seen: Windows seen.
        sampled: Windows in the sample.
        refused: Windows kept out, by reason.
        last: The last report of this run of the program.
    """

    active: bool
    trusted: bool = False
    elapsed_s: float = 0.0
    seconds: float = 0.0
    seen: int = 0
    sampled: int = 0
    refused: dict[str, int] = {}
    last: LearnReport | None = None


def most(counter: Counter[Key]) -> dict[str, int]:
    """The largest counts by endpoint, as alerts call them."""
    return {endpoint_text(*key): number for key, number in counter.most_common(_TOLD)}


def by_reason(tally: Tally) -> dict[str, int]:
    """Windows kept out, most frequent reason first."""
    return dict(tally.refused.most_common())


def told(report: LearnReport) -> str:
    """The report in lines for people."""
    return "\n".join(_lines(report))


def _lines(report: LearnReport) -> Iterator[str]:
    how = "trusted" if report.trusted else "not trusted: nothing above the 99.9th percentile was taken"
    yield (
        f"{report.seen} windows in {report.seconds:.0f} s ({how}); sample of {report.sampled} windows of "
        f"{report.endpoints} endpoints"
    )
    if report.refused:
        yield f"kept out: {_counts(report.refused)}; of {_counts(report.refused_of)}"
    if _biased(report):
        yield "  so many that this is not the whole of the site; if its traffic is benign, learn again and trust it"
    if report.odd_of:
        yield f"odd, and taken because you trust them: windows of {_counts(report.odd_of)}"
    if report.before and report.after:
        yield from _table(report, report.before, report.after)
    if report.lighter:
        yield "features that count less now: " + ", ".join(
            f"{name} x {one:.2g}" for name, one in report.lighter.items()
        )
    yield "learned" if report.learned else f"nothing was changed: {report.reason}"


def _table(report: LearnReport, before: Figures, after: Figures) -> Iterator[str]:
    yield (
        f"judged on the latest {report.trial_windows} windows, {report.trial_device_hours:.2f} device-hours, "
        "which nothing was fitted on:"
    )
    yield f"  {'':42}{'before':>10}{'after':>10}"
    for what, one, other in (
        ("windows with p up to 5 %", before.above_5, after.above_5),
        ("windows with p up to 1 %", before.above_1, after.above_1),
        ("windows with p up to 0.1 %", before.above_01, after.above_01),
    ):
        yield f"  {what:42}{100 * one:>8.2f} %{100 * other:>8.2f} %"
    if before.attacks_seen is not None and after.attacks_seen is not None:
        what = "made-up attacks of the bundle, p up to 1 %"
        yield f"  {what:42}{100 * before.attacks_seen:>8.2f} %{100 * after.attacks_seen:>8.2f} %"
    yield f"  {'incidents':42}{before.incidents:>10}{after.incidents:>10}"
    yield f"  {'per 24 device-hours':42}{before.per_device_day:>10.1f}{after.per_device_day:>10.1f}"
    yield f"  {'  upper end of the 95 % interval':42}{before.at_most:>10.1f}{after.at_most:>10.1f}"


def _biased(report: LearnReport) -> bool:
    """Whether what was kept out as odd is more than ten times its share in traffic like the training data's."""
    return report.refused.get(ODD, 0) > _MOST_ODD * report.seen


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items())
