"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from emtc_agent.features import EdgeConfig
from emtc_agent.windows.networks import PRIVATE, DeviceNetworks

captures = click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
allow_damaged = click.option(
    "--allow-damaged",
    is_flag=True,
    help="Accept captures that end inside a packet or hold broken records.",
)
one_by_one = click.option(
    "--one-by-one",
    is_flag=True,
    help="Take each capture by itself, in the order given. Default: merge them into one stream by packet time.",
)
device_networks = click.option(
    "--device-network",
    "device_networks",
    multiple=True,
    metavar="CIDR",
    help="Network the devices live in; repeat for several. Default: the private address ranges.",
)


def edge_config(networks: tuple[str, ...]) -> EdgeConfig:
    """Extractor settings from the command line."""
    return EdgeConfig(networks=DeviceNetworks(networks or PRIVATE))


def broker_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options for connecting to a broker."""
    for option in (
        click.option("--ca-file", type=click.Path(dir_okay=False), help="Certificate authorities for mqtts://."),
        click.option("--allow-plain", is_flag=True, help="Allow MQTT without TLS to another host."),
    ):
        command = option(command)
    return command
