"""``labels.csv``: which attack ran when, between whom. Benign traffic goes on inside every label's time."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

LABELS = "labels.csv"
LEAST_PACKETS = 3


@dataclass(frozen=True)
class Label:
    """One row.

    Attributes:
        start_us: Start of the tool, Unix time.
        end_us: Its end; answers and retries may follow for some seconds.
        attacker: ``IP;MAC``, ``IP``, or empty where the senders are forged.
        victim: The same of each victim, joined by ``;``; empty for a whole network.
        family: Family of attacks.
        type: Type of attack.
        style: ``loud`` or ``low``.
        forged: ``yes`` where sender addresses are forged.
        tool: Program.
        options: Its arguments.
    """

    start_us: int
    end_us: int
    attacker: str
    victim: str
    family: str
    type: str
    style: str
    forged: str
    tool: str
    options: str

    @property
    def evidence(self) -> list[list[str]]:
        """Addresses that show the attack where they meet in a packet: the attacker's and the victims', if known."""
        return [side.split(";") for side in (self.attacker, self.victim) if side]


def write_labels(path: Path, labels: Sequence[Label]) -> None:
    """Write them with a header line."""
    with path.open("w", newline="") as file:
        rows = csv.DictWriter(file, list(Label.__dataclass_fields__), lineterminator="\n")
        rows.writeheader()
        rows.writerows(asdict(label) for label in labels)
