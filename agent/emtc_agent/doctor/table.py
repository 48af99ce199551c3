"""Findings for people; rich is imported only when it prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from emtc_agent.doctor.finding import Finding

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "problem": "[bold red]problem[/]"}


def show_findings(findings: Sequence[Finding], console: Console) -> None:
    """Print one row per finding, with what to do where there is something to do, and a count."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("", "", "", show_header=False, box=None, padding=(0, 2, 0, 0))
    for one in findings:
        fix = "" if one.level == "ok" else f"\n-> {escape(one.fix)}"
        table.add_row(_SHOWN[one.level], escape(one.name), escape(one.what) + fix)
    console.print(table)
    counts = {level: sum(one.level == level for one in findings) for level in ("problem", "warning")}
    console.print(f"\n{counts['problem']} problem(s), {counts['warning']} warning(s)", highlight=False)
