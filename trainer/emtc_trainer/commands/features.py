"""``emtc-trainer features``: labelled feature files of recordings."""

from __future__ import annotations

from pathlib import Path

import click

from emtc_agent.commands.extract import feature_writer
from emtc_contract.edge_v1 import EDGE_V1
from emtc_trainer.commands.options import FILE, NEW_FILE, say
from emtc_trainer.data import capture_of, labelled


@click.command("features")
@click.argument("captures", nargs=-1, required=True, type=FILE, metavar="CAPTURE...")
@click.option("-o", "--output", type=NEW_FILE, required=True, help="rows.parquet or rows.csv")
def features(captures: tuple[Path, ...], output: Path) -> None:
    """Write the labelled edge-v1 features of CAPTURE... (captures, or folders of lab recordings) to one file.

    Labels come from the labels.csv beside each capture; without one, all of its rows count as benign.
    """
    with feature_writer(output, EDGE_V1) as writer:
        for path in captures:
            capture = capture_of(path) if path.is_dir() else path
            rows = attacks = 0
            for piece in labelled(capture, EDGE_V1):
                writer.write(piece)
                rows += len(piece)
                attacks += int((piece.label != "").sum())
            say(f"{capture}: {rows} rows, {attacks} of attacks")
