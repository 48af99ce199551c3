"""Incidents and counters for people; rich is imported only when it prints, 3 MB that a daemon does not need."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from emtc_contract.messages import Alert

if TYPE_CHECKING:
    from rich.console import Console

MAX_SHOWN = 500
_SEVERITY = {
    1: "[dim]info[/]",
    2: "[cyan]low[/]",
    3: "[yellow]medium[/]",
    4: "[red]high[/]",
    5: "[bold red]critical[/]",
}


class IncidentTable:
    """Collects alerts and shows one row per incident at the end.

    Args:
        most: Incidents kept; further ones are only counted, so that memory stays bounded.
    """

    def __init__(self, most: int = MAX_SHOWN) -> None:
        self._latest: dict[str, Alert] = {}
        self._most = most
        self._more = 0

    def publish(self, alert: Alert) -> None:
        """Keep the latest alert of each incident."""
        if alert.id in self._latest or len(self._latest) < self._most:
            self._latest[alert.id] = alert
        elif alert.state == "new":
            self._more += 1

    def show(self, console: Console) -> None:
        """Print the table, in the order in which the incidents began."""
        from rich.table import Table

        if not self._latest:
            console.print("no incidents")
            return
        table = Table("first seen (UTC)", "for", "severity", "family", "what", show_lines=True)
        for alert in sorted(self._latest.values(), key=lambda one: one.first_seen):
            table.add_row(*_row(alert))
        console.print(table)
        if self._more:
            console.print(f"and {self._more} more incidents")


def _row(alert: Alert) -> tuple[str, ...]:
    from rich.markup import escape

    begin, end = datetime.fromisoformat(alert.first_seen), datetime.fromisoformat(alert.last_seen)
    return (
        f"{begin:%Y-%m-%d %H:%M:%S}",
        f"{(end - begin).total_seconds():.0f} s",
        severity_text(alert.severity_id),
        escape(alert.family.name),
        escape(alert.text),
    )


class IncidentLines:
    """Prints each alert on a line of its own as it comes."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def publish(self, alert: Alert, source: str = "") -> None:
        """Print one alert; ``source`` is the gateway it comes from, if there may be several."""
        from rich.markup import escape

        when = f"{datetime.fromisoformat(alert.ts):%Y-%m-%d %H:%M:%S}"
        what = f"{alert.state:6s} {severity_text(alert.severity_id)}"
        self._console.print(
            f"{when} {escape(source)}{' ' * bool(source)}{what}  {escape(alert.text)}", highlight=False
        )


def summary_table(counters: Mapping[str, int | float], console: Console) -> None:
    """Print counters, one per line."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("", "", show_header=False, box=None)
    for name, value in counters.items():
        table.add_row(escape(name), f"{value:,}")
    console.print(table)


def severity_text(severity_id: int) -> str:
    """A severity in words, with rich markup."""
    return _SEVERITY[severity_id]
