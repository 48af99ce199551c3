"""Command line of this part."""

import click


@click.group()
def main() -> None:
    """Commands."""
