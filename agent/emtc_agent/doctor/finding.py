"""What a check found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]
_LEVELS: tuple[Level, ...] = ("ok", "warning", "problem")
NOTHING = "Nothing to do."


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report.

    Attributes:
        name: What was looked at.
        level: A problem keeps the agent from its work; a warning will, or spoils it.
        what: What is the case.
        fix: What to do about it, a sentence.
    """

    name: str
    level: Level
    what: str
    fix: str = NOTHING


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level among findings; ``ok`` without any."""
    return max((one.level for one in findings), key=_LEVELS.index, default="ok")
