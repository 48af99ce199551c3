"""What several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

FILE = click.Path(path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)


def say(line: str) -> None:
    """Tell the user something that is not a result."""
    click.echo(line, err=True)


@contextmanager
def epochs_shown(epochs: int) -> Iterator[Callable[[int, float, float], None]]:
    """A progress bar of ``epochs`` on a terminal; yields what moves it, an ``optimizing.Progress``."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("fitting", total=epochs)

        def progress(epoch: int, loss: float, validation: float) -> None:
            bar.update(
                task, completed=epoch, description=f"epoch {epoch}: loss {loss:.4f}, validation {validation:.4f}"
            )

        yield progress
