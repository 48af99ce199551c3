"""A progress bar for captures, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from emtc_agent.packets import PacketBatch
from emtc_agent.sources import CaptureSet


def reading(source: CaptureSet) -> Iterator[Iterator[PacketBatch]]:
    """Yield the streams of ``source``; show how far they are read if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield from source.streams()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=source.size_bytes)

        def watched(stream: Iterator[PacketBatch]) -> Iterator[PacketBatch]:
            for batch in stream:
                progress.update(task, completed=source.position_bytes, description=source.name)
                yield batch

        for stream in source.streams():
            yield watched(stream)
