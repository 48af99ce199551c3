"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from emtc_agent.assembling import shipped_bundle
from emtc_agent.detector import RUNTIMES, Bundle, load_bundle
from emtc_agent.detector.versions import require_newest
from emtc_agent.features import EdgeConfig
from emtc_agent.windows.endpoints import MAX_CAPACITY
from emtc_agent.windows.networks import PRIVATE, DeviceNetworks
from emtc_agent.windows.sets import WAYS


class PowerOfTwo(click.IntRange):
    """An integer that is a power of two within bounds."""

    name = "power of two"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, or a usage error."""
        number = int(super().convert(value, param, ctx))
        if number & (number - 1):
            self.fail(f"{number} is not a power of two.", param, ctx)
        return number


@dataclass(frozen=True, slots=True)
class BundleChoice:
    """Which bundle, and what has to vouch for it.

    Attributes:
        file: None takes the shipped one.
        keys: Public keys of which one must have signed it.
        state: Where the highest version of each model is remembered.
        allow_older: Whether to take an older one than that.
    """

    file: Path | None
    keys: tuple[Path, ...]
    state: Path | None
    allow_older: bool

    @property
    def path(self) -> Path:
        """The file, also of the shipped one."""
        return self.file or shipped_bundle()

    def load(self) -> Bundle:
        """The bundle, if it may be used; raises BundleError otherwise."""
        bundle = load_bundle(self.path, self.keys)
        if self.state:
            require_newest(bundle.manifest, self.state, allow_older=self.allow_older)
        return bundle


@dataclass(frozen=True, slots=True)
class RuntimeChoice:
    """Arguments of ``open_runtime``."""

    name: str | None = None
    precision: str | None = None
    threads: int = 1


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
_DEFAULT = EdgeConfig()


def edge_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that make the ``edge`` argument of a command, an ``EdgeConfig``."""

    @functools.wraps(command)
    def with_edge(*, device_networks: tuple[str, ...], max_endpoints: int, max_peers: int, **others: Any) -> Any:
        networks = DeviceNetworks(device_networks or PRIVATE)
        edge = EdgeConfig(max_endpoints=max_endpoints, peers_per_endpoint=max_peers, networks=networks)
        return command(edge=edge, **others)

    return add_options(
        with_edge,
        click.option(
            "--device-network",
            "device_networks",
            multiple=True,
            metavar="CIDR",
            help="Network the devices live in; repeat for several. Default: the private address ranges.",
        ),
        click.option(
            "--max-endpoints",
            type=PowerOfTwo(8, MAX_CAPACITY),
            default=_DEFAULT.max_endpoints,
            show_default=True,
            metavar="N",
            help="Devices followed at once, a power of two; any further ones are taken together.",
        ),
        click.option(
            "--max-peers",
            type=PowerOfTwo(WAYS, 1_024),
            default=_DEFAULT.peers_per_endpoint,
            show_default=True,
            metavar="N",
            help="Remotes remembered per device, a power of two; any further ones stay new.",
        ),
    )


def bundle_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that make the ``bundle`` argument of a command, a ``BundleChoice``."""

    @functools.wraps(command)
    def with_bundle(
        *,
        bundle_file: Path | None,
        bundle_keys: tuple[Path, ...],
        bundle_state: Path | None,
        allow_older: bool,
        **others: Any,
    ) -> Any:
        return command(bundle=BundleChoice(bundle_file, bundle_keys, bundle_state, allow_older), **others)

    file = click.Path(dir_okay=False, path_type=Path)
    return add_options(
        with_bundle,
        click.option("--bundle", "bundle_file", type=file, help="Model bundle. Default: the shipped one."),
        click.option(
            "--bundle-key",
            "bundle_keys",
            type=file,
            multiple=True,
            metavar="PUB",
            help="Take only a bundle signed by this minisign key; repeat for several. Default: any bundle.",
        ),
        click.option(
            "--bundle-state",
            type=file,
            help="Remember the highest version of each model in this file, and refuse older ones.",
        ),
        click.option("--allow-older", is_flag=True, help="Accept an older version, and go on from it."),
    )


def runtime_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that make the ``choice`` argument of a command: what runs the model, and how."""

    @functools.wraps(command)
    def with_choice(*, runtime: str | None, precision: str | None, threads: int, **others: Any) -> Any:
        return command(choice=RuntimeChoice(runtime, precision, threads), **others)

    return add_options(
        with_choice,
        click.option(
            "--runtime",
            type=click.Choice([kind.name for kind in RUNTIMES]),
            help="What runs the model. Default: the first of these that is installed and has a model in the bundle.",
        ),
        click.option(
            "--precision", type=click.Choice(["fp32", "int8"]), help="Which model. Default: fp32 where there is one."
        ),
        click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="That score."),
    )


def broker_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options for connecting to a broker."""
    return add_options(
        command,
        click.option("--ca-file", type=click.Path(dir_okay=False), help="Certificate authorities for mqtts://."),
        click.option("--allow-plain", is_flag=True, help="Allow MQTT without TLS to another host."),
    )


def add_options(command: Callable[..., Any], *options: Callable[..., Any]) -> Callable[..., Any]:
    """The command with options, shown in their order."""
    for option in reversed(options):
        command = option(command)
    return command
