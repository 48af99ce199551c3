"""``emtc-agent extract``: the features of captures as a CSV or Parquet file."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import click

from emtc_agent.commands.options import allow_damaged, captures, device_networks, edge_config
from emtc_agent.commands.progress import reading
from emtc_agent.feature_files import CsvFeatureWriter, FeatureWriter
from emtc_agent.features import CaptureConfig, open_extractor
from emtc_agent.pipeline import extract as extract_rows
from emtc_agent.sources import CaptureSet
from emtc_contract.errors import FeatureFileError
from emtc_contract.schema import FeatureSchema
from emtc_contract.schemas import SCHEMAS, get_schema, resized

_WRITERS = "emtc_agent.feature_writers"


@click.command()
@captures
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="rows.csv or rows.parquet"
)
@click.option(
    "--schema", "schema_name", default="edge-v1", show_default=True, metavar="NAME", help=" | ".join(SCHEMAS)
)
@click.option("--window", type=click.IntRange(1, 255), metavar="N", help="Packets per window (CICIoT2023 schemas).")
@click.option(
    "--chunks/--no-chunks",
    default=True,
    show_default=True,
    help="CICIoT2023 schemas: start anew every 10 MB, as they did.",
)
@device_networks
@allow_damaged
def extract(
    captures: tuple[str, ...],
    output: Path,
    schema_name: str,
    window: int | None,
    chunks: bool,
    device_networks: tuple[str, ...],
    allow_damaged: bool,
) -> None:
    """Write one row of features per window of each CAPTURE (file, folder, or - for standard input).

    OUTPUT appears only when complete. A damaged capture (cut in the middle of a packet) is an error, and nothing
    is written, unless --allow-damaged is given.
    """
    schema = get_schema(schema_name)
    if window is not None:
        schema = resized(schema, window)
    writer = feature_writer(output, schema)
    capture_config = CaptureConfig() if chunks else CaptureConfig(chunk_bytes=None)
    extractor = open_extractor(schema, edge_config(device_networks), capture_config)
    rows = 0
    with CaptureSet(captures) as source, writer:
        for piece in extract_rows(reading(source), extractor, captures[0]):
            writer.write(piece)
            rows += len(piece)
        if not allow_damaged:
            source.require_whole()
    stats = extractor.stats
    click.echo(f"{output}: {rows} rows of {schema.name} from {stats.packets} packets", err=True)


def feature_writer(output: Path, schema: FeatureSchema) -> FeatureWriter:
    """The writer for a file name; Parquet comes with the trainer extra."""
    suffix = output.suffix.lower()
    if suffix == ".csv":
        return CsvFeatureWriter(output, schema)
    for entry in entry_points(group=_WRITERS, name=suffix.removeprefix(".")):
        try:
            writer: FeatureWriter = entry.load()(output, schema)
        except ImportError:
            raise FeatureFileError(f"{output}: {suffix} needs the trainer extra (emtc-guard[trainer])") from None
        return writer
    raise FeatureFileError(f"{output}: feature files end in .csv or .parquet")
