"""``emtc-agent``: watch an interface, replay captures, extract features, follow incidents."""

from __future__ import annotations

import click

from emtc_agent import __version__
from emtc_agent.lazy_group import LazyGroup

main = LazyGroup(
    "emtc_agent.commands",
    ("run", "replay", "extract", "schema", "watch", "learn", "config", "doctor", "provision"),
    help="Watch IoT devices behind an LTE-M gateway: offline on captures, live on an interface.",
)
click.version_option(__version__, package_name="emtc-guard")(main)
