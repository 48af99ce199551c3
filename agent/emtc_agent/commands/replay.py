"""``emtc-agent replay``: captures in, explained incidents out."""

from __future__ import annotations

import re
import secrets
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import click

from emtc_agent import __version__
from emtc_agent.commands.options import (
    BundleChoice,
    RuntimeChoice,
    allow_damaged,
    broker_options,
    bundle_options,
    captures,
    edge_options,
    one_by_one,
    runtime_options,
)
from emtc_agent.commands.pace import paced
from emtc_agent.commands.progress import reading
from emtc_agent.detector import Bundle, Scorer, open_runtime
from emtc_agent.features import EdgeConfig, open_extractor
from emtc_agent.incidents import IncidentTracker
from emtc_agent.packets import PacketBatch
from emtc_agent.pipeline import Pipeline
from emtc_agent.report.broker import BrokerUrl
from emtc_agent.report.jsonl import JsonLines
from emtc_agent.report.mqtt import MqttPublisher
from emtc_agent.report.reporter import Reporter
from emtc_agent.report.table import IncidentTable, summary_table
from emtc_agent.sources import CaptureSet
from emtc_contract.messages import Alert, Info, Model

_SPEEDS = {"max": 0.0, "1x": 1.0, "10x": 10.0}


@click.command()
@captures
@bundle_options
@click.option("--mqtt", "mqtt_url", metavar="URL", help="Report to this broker: mqtt[s]://[user:pass@]host[:port]")
@click.option("--client", default="local", show_default=True, help="Client part of the MQTT topics.")
@click.option("--gateway", help="Gateway part of the MQTT topics. Default: this host's name.")
@broker_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines only: alerts, then one summary.")
@click.option("--speed", type=click.Choice(list(_SPEEDS)), default="max", show_default=True, help="Replay speed.")
@runtime_options
@edge_options
@one_by_one
@allow_damaged
def replay(
    captures: tuple[str, ...],
    bundle: BundleChoice,
    mqtt_url: str | None,
    client: str,
    gateway: str | None,
    allow_plain: bool,
    ca_file: str | None,
    as_json: bool,
    speed: str,
    choice: RuntimeChoice,
    edge: EdgeConfig,
    one_by_one: bool,
    allow_damaged: bool,
) -> None:
    """Find incidents in each CAPTURE (pcap or pcapng, also gzip; file, folder, or - for standard input).

    A damaged capture (cut in the middle of a packet) is judged as far as it goes; the exit code is 2 then,
    unless --allow-damaged is given.
    """
    boot = secrets.token_hex(8)
    pipeline, info = build_pipeline(bundle.load(), choice, edge, boot)
    with ExitStack() as stack:
        source = stack.enter_context(CaptureSet(captures, one_by_one=one_by_one))
        lines, table = JsonLines(sys.stdout), IncidentTable()
        reporters: list[Reporter] = [lines if as_json else table]
        if mqtt_url:
            url, topic_gateway = BrokerUrl.parse(mqtt_url), gateway or gateway_name()
            publisher = MqttPublisher(url, client, topic_gateway, info, allow_plain=allow_plain, ca_file=ca_file)
            reporters.append(stack.enter_context(publisher))
        begin = time.monotonic()
        for alert in run(pipeline, reading(source), _SPEEDS[speed]):
            for reporter in reporters:
                reporter.publish(alert)
        losses = {"truncated": source.stats.truncated, "malformed records": source.stats.malformed}
        counters = summarize(pipeline, losses, time.monotonic() - begin)
    if as_json:
        lines.summary(counters)
    else:
        from rich.console import Console

        console = Console()
        table.show(console)
        summary_table(counters, console)
    if not allow_damaged:
        source.require_whole()


def gateway_name() -> str:
    """This host's name in the form that topics allow."""
    return re.sub("[^a-z0-9-]+", "-", socket.gethostname().lower())[:64].strip("-") or "gateway"


def build_pipeline(bundle: Bundle, choice: RuntimeChoice, edge: EdgeConfig, boot: str) -> tuple[Pipeline, Info]:
    """The pipeline for a bundle, and what to tell about it."""
    runtime = open_runtime(bundle, choice.name, choice.precision, choice.threads)
    artifact = runtime.artifact
    scorer = Scorer(runtime)
    manifest = bundle.manifest
    model = Model(name=manifest.name, version=manifest.version, sha8=artifact.sha256[:8], runtime=runtime.name)
    tracker = IncidentTracker(bundle, model, artifact.threshold, boot)
    info = Info(
        agent=__version__,
        bundle=manifest.name,
        bundle_version=manifest.version,
        bundle_sha8=artifact.sha256[:8],
        schema=manifest.schema_name,
        schema_digest=manifest.schema_digest,
        runtime=runtime.name,
        interfaces=(),
        boot=boot,
    )
    return Pipeline(partial(open_extractor, bundle.schema, edge), scorer, tracker), info


def run(pipeline: Pipeline, streams: Iterator[Iterator[PacketBatch]], speed: float) -> Iterator[Alert]:
    """Every alert of all streams, as soon as it is known; at ``speed`` times their own, 0 for full speed."""
    for stream in streams:
        for batch in paced(stream, speed) if speed else stream:
            yield from pipeline.push(batch)
        yield from pipeline.finish()


def summarize(pipeline: Pipeline, losses: dict[str, int], elapsed_s: float) -> dict[str, int | float]:
    """What a replay or a live run did, in numbers, in the order in which to show them.

    Args:
        pipeline: After its end.
        losses: What the source could not give, by what to call it.
        elapsed_s: How long it took.
    """
    extracted = pipeline.extracted
    return {
        "packets": extracted.packets,
        **losses,
        **{f"other: {reason}".replace("_", " "): number for reason, number in sorted(extracted.other.items())},
        "without endpoint": extracted.unattributed,
        "time jumps": extracted.time_jumps,
        "endpoints": extracted.endpoints,
        "endpoints forgotten": extracted.evicted,
        "packets of endpoints without room": extracted.spilled,
        "peers without room": extracted.peers_spilled,
        "windows": extracted.windows,
        "scored": pipeline.scored,
        "not scored": pipeline.scorer.skipped,
        "incidents": pipeline.tracker.opened,
        "seconds": round(elapsed_s, 3),
        "packets/s": round(extracted.packets / max(elapsed_s, 1e-9)),
    }
