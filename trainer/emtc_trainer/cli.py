"""``emtc-trainer``: fit a detector to benign traffic, and judge it on traffic it has not seen."""

from __future__ import annotations

from emtc_agent.lazy_group import LazyGroup

main = LazyGroup(
    "emtc_trainer.commands",
    ("data", "features", "fit", "adapt", "evaluate", "report", "tables", "paper"),
    help="Fit a detector to benign traffic, and judge it on traffic it has not seen.",
)
