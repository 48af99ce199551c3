"""Results of ``scripts/bench extract`` as tables, and the targets they have to reach."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from bench.contenders import LIBPCAP, STAGES, Figures

_OURS = ("edge-v1", "ciciot2023-39", "ciciot2023-46")


@dataclass(frozen=True)
class Result:
    """All runs of one contender on one capture; ``failed`` says why one ended without figures."""

    capture: str
    name: str
    runs: list[Figures]
    failed: str = ""

    @property
    def packets_per_s(self) -> float:
        """Median over the runs."""
        return statistics.median(run.packets / run.seconds for run in self.runs)

    @property
    def rss_mb(self) -> float:
        """Highest peak of any run."""
        return max(run.rss_mb for run in self.runs)


@dataclass(frozen=True)
class Target:
    """A goal of the project and what was measured."""

    text: str
    measured: float
    goal: float
    reached: bool


def targets(results: list[Result]) -> list[Target]:
    """Goals that these results can tell about."""
    speed = {(one.capture, one.name): one.packets_per_s for one in results if one.runs}
    found = [
        _ratio(speed, "edge-v1 to nfstream on iot", ("iot", "edge-v1"), ("iot", "nfstream"), 10.0),
        _ratio(speed, "edge-v1 to bare libpcap on iot", ("iot", "edge-v1"), ("iot", LIBPCAP), 0.2),
        _ratio(speed, "ciciot2023-39 to edge-v1 on iot", ("iot", "ciciot2023-39"), ("iot", "edge-v1"), 1.0),
        _ratio(speed, "ciciot2023-46 to nfstream on iot", ("iot", "ciciot2023-46"), ("iot", "nfstream"), 3.0),
    ]
    if ("flood", "edge-v1") in speed:
        flooded = speed["flood", "edge-v1"] / 1e6
        found.append(Target("edge-v1 on flood, million packets/s", flooded, 1.2, flooded >= 1.2))
    if memory := [one.rss_mb for one in results if one.runs and one.name in _OURS]:
        found.append(Target("most memory of any schema, MB (at most)", max(memory), 70.0, max(memory) <= 70.0))
    return [target for target in found if target]


def _ratio(
    speed: dict[tuple[str, str], float], text: str, ours: tuple[str, str], other: tuple[str, str], goal: float
) -> Target | None:
    if ours not in speed or other not in speed:
        return None
    ratio = speed[ours] / speed[other]
    return Target(text, ratio, goal, ratio >= goal)


def markdown(results: list[Result], missing: dict[str, str], *, stages: bool) -> str:
    """One table per capture, then stages, targets and who is missing."""
    parts = [_table(one, [result for result in results if result.capture == one]) for one in _captures(results)]
    if stages:
        parts.append(_stages(results))
    if reached := targets(results):
        rows = [f"| {t.text} | {t.goal:g} | {t.measured:.2f} | {'yes' if t.reached else 'NO'} |" for t in reached]
        parts.append("\n".join(["| target | goal | measured | reached |", "|---|---|---|---|", *rows]))
    parts += [f"Missing: {name} ({why})." for name, why in missing.items()]
    return "\n\n".join(parts)


def _captures(results: list[Result]) -> list[str]:
    return list(dict.fromkeys(result.capture for result in results))


def _table(capture: str, results: list[Result]) -> str:
    speed = {one.name: one.packets_per_s for one in results if one.runs}
    lines = [
        f"| {capture} | packets | packets/s, median (range) | to libpcap | to nfstream | records | peak RSS MB |",
        "|---" * 7 + "|",
    ]
    for one in results:
        if one.failed:
            lines.append(f"| {one.name} | failed: {one.failed} |" + " |" * 5)
            continue
        rates = [run.packets / run.seconds for run in one.runs]
        ratios = " | ".join(
            f"{one.packets_per_s / speed[other]:.3g}" if other in speed else "" for other in (LIBPCAP, "nfstream")
        )
        lines.append(
            f"| {one.name} | {one.runs[0].packets:,} "
            f"| {one.packets_per_s:,.0f} ({min(rates):,.0f} - {max(rates):,.0f}) "
            f"| {ratios} | {one.runs[0].records:,} | {one.rss_mb:.0f} |"
        )
    return "\n".join(lines)


def _stages(results: list[Result]) -> str:
    """Nanoseconds per packet that each stage of the agent adds to the one before."""
    names = ("reading", "decoding", "windows and features", "scoring and incidents")
    lines = [f"| ns a packet | {' | '.join(names)} | together |", "|---" * (len(names) + 2) + "|"]
    for capture in _captures(results):
        ns = {one.name: 1e9 / one.packets_per_s for one in results if one.capture == capture and one.runs}
        if all(stage in ns for stage in STAGES):
            steps = [
                ns[stage] - before for stage, before in zip(STAGES, (0.0, *(ns[s] for s in STAGES)), strict=False)
            ]
            lines.append(f"| {capture} | " + " | ".join(f"{step:.0f}" for step in steps) + f" | {ns['replay']:.0f} |")
    return "\n".join(lines)
