"""A progress bar for captures, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from emtc_agent.packets import PacketBatch
from emtc_agent.sources import CaptureSet


def reading(source: CaptureSet) -> Iterator[PacketBatch]:
    """Yield the batches of ``source``; show how far it is read if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield from source
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=source.size_bytes)
        for batch in source:
            progress.update(task, completed=source.position_bytes, description=source.name)
            yield batch
