"""``scripts/bench extract | model | live``."""

import click

from bench.extract import extract
from bench.live import live
from bench.model import model


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure the product beside what people use today."""


main.add_command(extract)
main.add_command(model)
main.add_command(live)
main(prog_name="scripts/bench")
