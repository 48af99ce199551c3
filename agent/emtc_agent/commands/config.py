"""``emtc-agent config``: check, show and explain the daemon's settings."""

from __future__ import annotations

from pathlib import Path

import click

from emtc_agent.settings import Settings, load_settings
from emtc_agent.settings.showing import json_schema, sample
from emtc_agent.settings.showing import show as as_toml

_FILE = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@click.group()
def config() -> None:
    """Check, show and explain settings files (gateway.toml)."""


@config.command()
@_FILE
def check(file: Path) -> None:
    """Check FILE: every setting known, of the right kind, within bounds, and fitting the others.

    Exit code 2 and one line with the place if it is not. `emtc-agent doctor` tries what the settings name.
    """
    load_settings(file)
    click.echo(f"{file}: good")


@config.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
def show(file: Path | None) -> None:
    """Print every setting in effect, with FILE or with nothing set."""
    click.echo(as_toml(load_settings(file) if file else Settings()), nl=False)


@config.command("sample")
def print_sample() -> None:
    """Print a commented settings file with every setting at its default."""
    click.echo(sample(), nl=False)


@config.command()
def schema() -> None:
    """Print the JSON Schema of settings files, for editors."""
    click.echo(json_schema(), nl=False)
