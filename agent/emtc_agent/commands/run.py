"""``emtc-agent run``: incidents on live interfaces, as they happen."""

from __future__ import annotations

import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from types import FrameType

import click

from emtc_agent.commands.options import (
    BundleChoice,
    RuntimeChoice,
    broker_options,
    bundle_options,
    edge_options,
    runtime_options,
)
from emtc_agent.commands.replay import build_pipeline, gateway_name, summarize
from emtc_agent.features import EdgeConfig
from emtc_agent.pipeline import Pipeline
from emtc_agent.report.broker import BrokerUrl
from emtc_agent.report.jsonl import JsonLines
from emtc_agent.report.mqtt import MqttPublisher
from emtc_agent.report.reporter import Reporter
from emtc_agent.report.table import IncidentLines, summary_table
from emtc_agent.sources.live import LiveCapture
from emtc_agent.sources.ring import RingConfig
from emtc_contract.messages import Alert

_LATE_US = 1_000_000
"""How long after its time a packet may still come out of a ring; windows wait that long for it."""


@click.command()
@click.option(
    "-i", "--interface", "interfaces", multiple=True, required=True, help="Where to listen; repeat for more."
)
@bundle_options
@click.option("--mqtt", "mqtt_url", metavar="URL", help="Report to this broker: mqtt[s]://[user:pass@]host[:port]")
@click.option("--client", default="local", show_default=True, help="Client part of the MQTT topics.")
@click.option("--gateway", help="Gateway part of the MQTT topics. Default: this host's name.")
@broker_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines only: alerts, then one summary.")
@click.option("--seconds", type=click.FloatRange(min=0), help="End after so many seconds.")
@click.option(
    "--snaplen",
    type=click.IntRange(64, 1_024),
    default=RingConfig().snaplen,
    show_default=True,
    help="Bytes looked at of each packet.",
)
@runtime_options
@edge_options
def run(
    interfaces: tuple[str, ...],
    bundle: BundleChoice,
    mqtt_url: str | None,
    client: str,
    gateway: str | None,
    allow_plain: bool,
    ca_file: str | None,
    as_json: bool,
    seconds: float | None,
    snaplen: int,
    choice: RuntimeChoice,
    edge: EdgeConfig,
) -> None:
    """Watch live interfaces and tell incidents as they happen, until Ctrl-C or SIGTERM.

    Interfaces carry Ethernet, or raw IP as those of modems. Needs CAP_NET_RAW. Packets are looked at up to --snaplen
    bytes and never kept.
    """
    boot = secrets.token_hex(8)
    pipeline, info = build_pipeline(bundle.load(), choice, edge, boot)
    with ExitStack() as stack:
        source = stack.enter_context(LiveCapture(interfaces, RingConfig(snaplen=snaplen)))
        lines = JsonLines(sys.stdout)
        reporters: list[Reporter] = [lines if as_json else _lines_for_people()]
        if mqtt_url:
            url, topic_gateway = BrokerUrl.parse(mqtt_url), gateway or gateway_name()
            publisher = MqttPublisher(url, client, topic_gateway, info, allow_plain=allow_plain, ca_file=ca_file)
            reporters.append(stack.enter_context(publisher))
        until = Until(seconds)
        click.echo(f"watching {', '.join(interfaces)}", err=True)
        begin = time.monotonic()
        for alert in watch(pipeline, source, until):
            for reporter in reporters:
                reporter.publish(alert)
        counters = summarize(pipeline, source.losses(), time.monotonic() - begin)
    if as_json:
        lines.summary(counters)
    else:
        from rich.console import Console

        summary_table(counters, Console())


def _lines_for_people() -> IncidentLines:
    from rich.console import Console

    return IncidentLines(Console(soft_wrap=True))


class Until:
    """Says when to stop: after a time, or on the first SIGINT or SIGTERM."""

    def __init__(self, seconds: float | None) -> None:
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._signalled = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def __call__(self) -> bool:
        """Whether it is time."""
        return self._signalled or (self._deadline is not None and time.monotonic() >= self._deadline)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._signalled = True


def watch(pipeline: Pipeline, source: LiveCapture, until: Until) -> Iterator[Alert]:
    """Every alert as soon as it is known."""
    for batch in source.batches(until):
        if batch is not None:
            yield from pipeline.push(batch)
        else:
            yield from pipeline.tick(time.time_ns() // 1_000 - _LATE_US)
    yield from pipeline.finish()
