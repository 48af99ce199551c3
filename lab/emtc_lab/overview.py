"""What is in a folder of recordings: a line per run, and how often each type of attack was recorded."""

from __future__ import annotations

import csv
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emtc_contract.errors import InputError
from emtc_lab.labels import LABELS

SUMMARY, LOCK = "summary.toml", "scenario.lock.toml"


@dataclass(frozen=True)
class Recording:
    """One run: where it is, what was asked for, what came of it."""

    folder: Path
    scenario: str
    seed: int
    devices: int
    packets: int
    seconds: float
    attacks: Counter[str]


def find(folders: list[Path]) -> list[Recording]:
    """All finished runs in or below folders, in order of their names; raises InputError where there is none."""
    found = sorted({path.parent for folder in folders for path in folder.rglob(SUMMARY)})
    if not found:
        raise InputError(f"{', '.join(map(str, folders))}: no recordings")
    return [_read(folder) for folder in found]


def table(recordings: list[Recording]) -> Iterator[str]:
    """Markdown: the runs, then the types of attack."""
    yield "| run | scenario | seed | devices | packets | seconds | attacks |"
    yield "|---|---|---|---|---|---|---|"
    for one in recordings:
        run = "/".join(one.folder.parts[-2:])
        counts = f"{one.devices} | {one.packets:,} | {one.seconds:,.0f} | {one.attacks.total()}"
        yield f"| {run} | {one.scenario} | {one.seed} | {counts} |"
    hours = sum(one.seconds for one in recordings) / 3600
    yield f"\n{sum(one.packets for one in recordings):,} packets in {hours:.1f} hours of traffic"
    types = sum((one.attacks for one in recordings), Counter[str]())
    if types:
        yield "\n| attack | runs |\n|---|---|"
        yield from (f"| {name} | {amount} |" for name, amount in sorted(types.items()))


def _read(folder: Path) -> Recording:
    try:
        summary = tomllib.loads((folder / SUMMARY).read_text())
        lock = tomllib.loads((folder / LOCK).read_text())
        with (folder / LABELS).open(newline="") as file:
            attacks = Counter(row["type"] for row in csv.DictReader(file))
        view = summary["view"]["ethernet"]
        return Recording(
            folder=folder,
            scenario=lock["scenario"]["name"],
            seed=lock["seed"],
            devices=summary["devices"],
            packets=view["packets"],
            seconds=view["seconds"],
            attacks=attacks,
        )
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise InputError(f"{folder}: not a whole recording: {error}") from None
