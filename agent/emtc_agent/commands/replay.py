"""``emtc-agent replay``: captures in, explained incidents out."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import click

from emtc_agent.assembling import assemble, gateway_name
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
from emtc_agent.commands.summary import summarize
from emtc_agent.detector import open_runtime
from emtc_agent.features import EdgeConfig
from emtc_agent.learning.options import OverlayChoice, overlay_options
from emtc_agent.packets import PacketBatch
from emtc_agent.pipeline import Pipeline
from emtc_agent.report.broker import BrokerUrl
from emtc_agent.report.jsonl import JsonLines
from emtc_agent.report.mqtt import MqttPublisher
from emtc_agent.report.reporter import Reporter
from emtc_agent.report.table import IncidentTable, summary_table
from emtc_agent.sources import CaptureSet
from emtc_contract.messages import Alert

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
@overlay_options
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
    overlay: OverlayChoice,
    edge: EdgeConfig,
    one_by_one: bool,
    allow_damaged: bool,
) -> None:
    """Find incidents in each CAPTURE (pcap or pcapng, also gzip; file, folder, or - for standard input).

    A damaged capture (cut in the middle of a packet) is judged as far as it goes; the exit code is 2 then,
    unless --allow-damaged is given.
    """
    boot = secrets.token_hex(8)
    loaded = bundle.load()
    runtime = open_runtime(loaded, choice.name, choice.precision, choice.threads)
    site = overlay.load(loaded, runtime.artifact)
    pipeline, info = assemble(loaded, runtime, edge, boot, site=site)
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


def run(pipeline: Pipeline, streams: Iterator[Iterator[PacketBatch]], speed: float) -> Iterator[Alert]:
    """Every alert of all streams, as soon as it is known; at ``speed`` times their own, 0 for full speed."""
    for stream in streams:
        for batch in paced(stream, speed) if speed else stream:
            yield from pipeline.push(batch)
        yield from pipeline.finish()
