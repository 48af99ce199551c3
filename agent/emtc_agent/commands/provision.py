"""``emtc-agent provision``: settings, keys and certificates for a fleet, and the broker's rules."""

from __future__ import annotations

from pathlib import Path

import click

from emtc_agent.provisioning import Outcome, load_fleet, provision_fleet
from emtc_agent.provisioning.credentials import State

_DAYS = 730


@click.command()
@click.argument("fleet", type=click.Path(dir_okay=False, path_type=Path), metavar="FLEET.toml")
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to fill."
)
@click.option(
    "--ca",
    "authority",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Sign at once with the authority in this folder (ca.key, ca.crt), made if there is none. Keep it offline.",
)
@click.option(
    "--renew",
    multiple=True,
    metavar="WHO",
    help="Make key and certificate anew: CLIENT/GATEWAY, an operator's name, broker, or all; repeat for several.",
)
@click.option(
    "--days",
    type=click.IntRange(1, 7_300),
    default=_DAYS,
    show_default=True,
    help="How long new certificates are good.",
)
def provision(fleet: Path, output: Path, authority: Path | None, renew: tuple[str, ...], days: int) -> None:
    """Make what each gateway of a fleet list needs: settings, key, certificate; and who may do what at the broker.

    \b
    FLEET.toml:
      model_keys = ["site.pub"]               # who signs models; optional
      [broker]
      url = "mqtts://broker.example"
      ca_file = "broker-ca.crt"               # who signed its certificate; with --ca it gets one too
      home_assistant = false
      [settings.capture]                      # any section of gateway.toml, for all gateways
      interfaces = ["br-lan"]
      [[gateway]]
      client = "acme"
      name = "gw-1"
      settings.capture.interfaces = ["eth1"]  # for this one
      [[operator]]
      name = "alice"                          # may also have role = "viewer" or "home-assistant"
      client = "acme"                         # without it: of all clients

    \b
    OUTPUT:
      gateways/CLIENT/GATEWAY/   goes to /etc/emtc-guard/ on that gateway
      operators/NAME/            goes to that person or program
      broker/                    acl and, with --ca, the broker's own certificate
      requests/                  without --ca: have these signed, and lay each answer beside its key
                                 as client.crt

    What is there is kept: run it again after each change of the list. Keys never leave OUTPUT; it holds secrets.
    """  # noqa: D301 - click wants the character
    outcome = provision_fleet(load_fleet(fleet), fleet, output, authority_folder=authority, renew=renew, days=days)
    for line in _told(output, outcome):
        click.echo(line, err=True)


def _told(output: Path, outcome: Outcome) -> list[str]:
    certificates = [f"{outcome.states[state]} {state.value}" for state in State if outcome.states[state]]
    lines = [f"{output}: certificates: {', '.join(certificates)}; other files: {outcome.written} written"]
    lines += [f"{path}: not in the list any more; left as it is" for path in outcome.left_over]
    if outcome.states[State.WAITING]:
        lines.append(f"{output / 'requests'}: to be signed; lay each certificate beside its key as client.crt")
    return lines
