"""``emtc-agent extract``: the features of captures as a CSV or Parquet file."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import click

from emtc_agent.commands.options import allow_damaged, captures, edge_options, one_by_one
from emtc_agent.commands.progress import reading
from emtc_agent.feature_files import CsvFeatureWriter, FeatureWriter
from emtc_agent.features import CaptureConfig, EdgeConfig, open_extractor
from emtc_agent.pipeline import extract as extract_rows
from emtc_agent.sources import CaptureSet
from emtc_agent.windows.windows import ExtractorStats
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
@edge_options
@one_by_one
@allow_damaged
def extract(
    captures: tuple[str, ...],
    output: Path,
    schema_name: str,
    window: int | None,
    chunks: bool,
    edge: EdgeConfig,
    one_by_one: bool,
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
    rows = 0
    counted = ExtractorStats()
    with CaptureSet(captures, one_by_one=one_by_one) as source, writer:
        for stream in reading(source):
            extractor = open_extractor(schema, edge, capture_config)
            for piece in extract_rows(stream, extractor, ", ".join(captures)):
                writer.write(piece)
                rows += len(piece)
            counted.add(extractor.stats)
        if not allow_damaged:
            source.require_whole()
    click.echo(f"{output}: {rows} rows of {schema.name} from {counted.packets} packets{_losses(counted)}", err=True)


def _losses(stats: ExtractorStats) -> str:
    """What did not go into rows, or not under its own name, and what the tables gave up."""
    counters = {
        **{reason.replace("_", " "): number for reason, number in sorted(stats.other.items())},
        "without endpoint": stats.unattributed,
        "without room": stats.spilled,
        "peers without room": stats.peers_spilled,
        "endpoints forgotten": stats.evicted,
        "time jumps": stats.time_jumps,
    }
    said = ", ".join(f"{number} {name}" for name, number in counters.items() if number)
    return f" ({said})" if said else ""


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
