"""``emtc-agent run``: the gateway's process: incidents on live interfaces, as they happen."""

from __future__ import annotations

import logging
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec

from emtc_agent.commands.options import add_options
from emtc_agent.commands.summary import summarize
from emtc_agent.daemon import Daemon, Order
from emtc_agent.daemon.parts import Place
from emtc_agent.detector import RUNTIMES
from emtc_agent.report.jsonl import JsonLines
from emtc_agent.report.table import IncidentLines, summary_table
from emtc_agent.settings import Settings, load_settings
from emtc_agent.settings.checks import first_conflict
from emtc_agent.settings.model import Section
from emtc_contract.errors import InputError

_FILE = click.Path(dir_okay=False, path_type=Path)


def _settings_options(command: Any) -> Any:
    """Options that say the same as a setting, and count more than the file."""
    return add_options(
        command,
        click.option("-i", "--interface", "interfaces", multiple=True, help="Where to listen; repeat for more."),
        click.option("--mqtt", "mqtt_url", metavar="URL", help="Report to mqtt[s]://[user:pass@]host[:port]"),
        click.option("--client", help="Client part of the MQTT topics.  [default: local]"),
        click.option("--gateway", help="Gateway part of the MQTT topics. Default: this host's name."),
        click.option("--ca-file", type=click.Path(dir_okay=False), help="Certificate authorities for mqtts://."),
        click.option("--allow-plain", is_flag=True, help="Allow MQTT without TLS to another host."),
        click.option("--state", type=click.Path(file_okay=False), help="Folder for what has to outlive a restart."),
        click.option("--bundle", type=click.Path(dir_okay=False), help="Model bundle. Default: the shipped one."),
        click.option(
            "--bundle-key",
            "bundle_keys",
            multiple=True,
            type=click.Path(dir_okay=False),
            metavar="PUB",
            help="Take only a bundle signed by this minisign key; repeat for several.",
        ),
        click.option("--runtime", type=click.Choice([kind.name for kind in RUNTIMES]), help="What runs the model."),
        click.option(
            "--device-network",
            "device_networks",
            multiple=True,
            metavar="CIDR",
            help="Network the devices live in; repeat for several. Default: the private address ranges.",
        ),
        click.option("--snaplen", type=click.IntRange(64, 1_024), help="Bytes looked at of each packet."),
    )


@click.command()
@click.option("-c", "--config", "file", type=_FILE, help="Settings file; see `emtc-agent config sample`.")
@_settings_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines only: alerts, then one summary.")
@click.option("--seconds", type=click.FloatRange(min=0), help="End after so many seconds.")
@click.option("-v", "--verbose", is_flag=True, help="Log what goes well, too.")
def run(file: Path | None, as_json: bool, seconds: float | None, verbose: bool, **given: Any) -> None:
    """Watch live interfaces and tell incidents as they happen, until Ctrl-C or SIGTERM.

    Interfaces carry Ethernet, or raw IP as those of modems. Needs CAP_NET_RAW. Packets are looked at up to the
    snaplen and never kept. Options count more than the settings file, which SIGHUP reads again. With a state folder
    nothing that was to be reported is lost, whatever happens to the link or to this process.
    """
    logging.basicConfig(
        level=logging.INFO if verbose or file else logging.WARNING,
        format="%(levelname)s %(message)s",
        stream=sys.stderr,
    )
    settings = _read(file, given)
    lines = JsonLines(sys.stdout)
    reporters = (lines if as_json else _lines_for_people(),)
    place = Place(file.resolve().parent if file else Path.cwd())
    read_again = partial(_read, file, given) if file else None
    daemon = Daemon(Order(settings, place, read_again, seconds, reporters))
    with daemon.capture() as capture:
        click.echo(f"watching {', '.join(settings.capture.interfaces)}", err=True)
        begin_s = time.monotonic()
        daemon.run(capture)
        counters = summarize(daemon.engine.pipeline, capture.losses(), time.monotonic() - begin_s)
    if as_json:
        lines.summary(counters)
    else:
        from rich.console import Console

        summary_table(counters, Console())


_SETTING_OF = {
    "interfaces": ("capture", "interfaces"),
    "mqtt_url": ("broker", "url"),
    "client": ("gateway", "client"),
    "gateway": ("gateway", "name"),
    "ca_file": ("broker", "ca_file"),
    "allow_plain": ("broker", "allow_plain"),
    "state": ("state", "folder"),
    "bundle": ("model", "bundle"),
    "bundle_keys": ("model", "keys"),
    "runtime": ("model", "runtime"),
    "device_networks": ("capture", "device_networks"),
    "snaplen": ("capture", "snaplen"),
}


def _read(file: Path | None, given: dict[str, Any]) -> Settings:
    return _with_options(load_settings(file) if file else Settings(), given)


def _with_options(settings: Settings, given: dict[str, Any]) -> Settings:
    """The settings with what was given as options; raises InputError if they do not go together."""
    for option, (section, key) in _SETTING_OF.items():
        if given[option]:
            old: Section = getattr(settings, section)
            changed = msgspec.structs.replace(old, **{key: given[option]})
            settings = msgspec.structs.replace(settings, **{section: changed})
    try:
        settings = msgspec.convert(msgspec.to_builtins(settings), Settings)
    except msgspec.ValidationError as error:
        raise InputError(f"options: {error}") from None
    conflict = first_conflict(settings, from_file=False)
    if conflict:
        raise InputError(f"options: {conflict[1]}")
    return settings


def _lines_for_people() -> IncidentLines:
    from rich.console import Console

    return IncidentLines(Console(soft_wrap=True))
