"""What several commands share."""

from __future__ import annotations

from pathlib import Path

import click

FILE = click.Path(path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)


def say(line: str) -> None:
    """Tell the user something that is not a result."""
    click.echo(line, err=True)
