"""``emtc-agent watch``: incidents of gateways as they arrive."""

from __future__ import annotations

import sys
import time

import click
from rich.console import Console
from rich.markup import escape

from emtc_agent.commands.options import broker_options
from emtc_agent.report.broker import BrokerUrl
from emtc_agent.report.jsonl import JsonLines
from emtc_agent.report.subscriber import Received, Subscriber
from emtc_agent.report.table import IncidentLines
from emtc_contract.messages import Alert

_POLL_S = 0.5


@click.command()
@click.option("--mqtt", "mqtt_url", metavar="URL", required=True, help="Broker: mqtt[s]://[user:pass@]host[:port]")
@click.option("--client", default="+", show_default=True, help="Only this client's gateways.")
@click.option("--gateway", default="+", show_default=True, help="Only this gateway.")
@broker_options
@click.option("--json", "as_json", is_flag=True, help="Print alerts as JSON lines only.")
@click.option("--count", type=click.IntRange(min=1), help="End after so many alerts.")
@click.option("--seconds", type=click.FloatRange(min=0), help="End after so many seconds.")
@click.option("--until-stopped", is_flag=True, help="End when a gateway says that it stopped.")
def watch(
    mqtt_url: str,
    client: str,
    gateway: str,
    allow_plain: bool,
    ca_file: str | None,
    as_json: bool,
    count: int | None,
    seconds: float | None,
    until_stopped: bool,
) -> None:
    """Print the incidents of gateways as they arrive, until interrupted (Ctrl-C)."""
    deadline = None if seconds is None else time.monotonic() + seconds
    subscriber = Subscriber(BrokerUrl.parse(mqtt_url), client, gateway, allow_plain=allow_plain, ca_file=ca_file)
    console = Console(soft_wrap=True)
    alerts = 0
    with subscriber:
        click.echo(f"watching {subscriber.url}", err=True)
        try:
            while (count is None or alerts < count) and (deadline is None or time.monotonic() < deadline):
                received = subscriber.next(_POLL_S)
                if received is None:
                    continue
                _show(received, console, as_json)
                alerts += isinstance(received.message, Alert)
                if until_stopped and _has_stopped(received):
                    break
        except KeyboardInterrupt:
            pass  # the way to end it
    if subscriber.broken or subscriber.dropped:
        click.echo(f"{subscriber.broken} broken and {subscriber.dropped} surplus messages ignored", err=True)


def _show(received: Received, console: Console, as_json: bool) -> None:
    message, source = received.message, f"{received.topic.client}/{received.topic.gateway}"
    if isinstance(message, Alert):
        if as_json:
            JsonLines(sys.stdout).publish(message)
            return
        IncidentLines(console).publish(message, source)
    elif not as_json:
        console.print(f"{escape(source)} is {message.state}", style="dim", highlight=False)


def _has_stopped(received: Received) -> bool:
    return received.message.state == "stopped" and not received.retained
