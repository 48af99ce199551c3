"""``emtc-agent schema``: what the columns of a feature schema mean."""

from __future__ import annotations

import click

from emtc_contract.schemas import SCHEMAS, get_schema


@click.command()
@click.argument("name", required=False)
def schema(name: str | None) -> None:
    """Print the columns of feature schema NAME with unit and meaning, or list all schemas."""
    if name is None:
        for known in SCHEMAS.values():
            click.echo(f"{known.name}  {len(known.features)} features  {known.digest}")
        return
    chosen = get_schema(name)
    window = chosen.window
    limit = f" or {window.seconds:g} s" if window.seconds else ""
    click.echo(f"{chosen.name} version {chosen.version}  {chosen.digest}")
    click.echo(f"window: {window.packets} packets{limit} per {window.scope}")
    for number, feature in enumerate(chosen.features, start=1):
        click.echo(f"{number:3d}  {feature.name:24s} {feature.unit:7s} {feature.meaning}")
