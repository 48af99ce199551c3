"""The folder that provisioning fills: one subfolder per gateway as it goes onto the device, and the broker's.

::

    gateways/<client>/<gateway>/   goes to /etc/emtc-guard/ of that gateway
        gateway.toml  ca.crt  *.pub  credentials/{client.key, client.crt, identity.toml}
    operators/<name>/              client.key  client.crt  ca.crt
    broker/                        acl, and with an own authority: ca.crt  server.key  server.crt
    requests/                      what another authority has to sign; no secrets
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from emtc_agent.durable import write_durably
from emtc_agent.provisioning.authority import (
    PRIVATE_FOLDER_MODE,
    PRIVATE_MODE,
    PUBLIC_MODE,
    Authority,
    open_authority,
)
from emtc_agent.provisioning.credentials import Owner, State, equip
from emtc_agent.provisioning.fleet import Fleet, Gateway, Operator
from emtc_agent.provisioning.gateway_settings import CA_FILE, gateway_settings, settings_text
from emtc_agent.provisioning.rules import gateway_subject, operator_subject, render_rules
from emtc_agent.report.broker import BrokerUrl
from emtc_contract.errors import InputError

BROKER, EVERYBODY = "broker", "all"
_MOST_KEY_BYTES = 64 * 1024
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did.

    Attributes:
        states: Owners by how their certificates came to be.
        written: Files that are new or have changed, keys and certificates left out.
        left_over: Folders of gateways and operators that are in the list no more.
    """

    states: Counter[State]
    written: int
    left_over: list[Path]


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be done, read and checked before anything is written."""

    fleet: Fleet
    folder: Path
    ca: bytes | None
    keys: dict[str, bytes]
    owners: list[Owner]
    settings: dict[Path, bytes] = field(default_factory=dict)


def provision_fleet(
    fleet: Fleet,
    listed: Path,
    folder: Path,
    *,
    authority_folder: Path | None,
    renew: Sequence[str],
    days: int,
) -> Outcome:
    """Fill ``folder``; keys, certificates and secrets that are there stay.

    Args:
        fleet: What to make.
        listed: The fleet list's file; names in it are relative to its folder.
        folder: Where to write.
        authority_folder: An authority that signs at once, made if there is none; None leaves that to another one.
        renew: Whose keys and certificates to make anew: ``<client>/<gateway>``, an operator, ``broker`` or ``all``.
        days: How long a new certificate is good.

    Raises:
        InputError: A setting, file or name that cannot be; nothing was written unless it is about a certificate.
    """
    try:
        return _provision(fleet, listed, folder, authority_folder, renew, days)
    except OSError as error:
        raise InputError(f"{error.filename or folder}: {error.strerror or error}") from None


def _provision(
    fleet: Fleet, listed: Path, folder: Path, authority_folder: Path | None, renew: Sequence[str], days: int
) -> Outcome:
    keys = {Path(name).name: _read(listed, name) for name in fleet.model_keys}
    ca = _read(listed, fleet.broker.ca_file) if fleet.broker.ca_file else None
    own_ca = ca is not None or authority_folder is not None
    settings = dict(_all_settings(fleet, listed, folder, own_ca=own_ca, keys=tuple(keys)))
    owners = list(_owners(fleet, folder, serves=authority_folder is not None and ca is None))
    _require_known(renew, owners)
    authority = open_authority(authority_folder) if authority_folder else None
    if authority:
        clients_ca = authority.certificate.read_bytes()
        ca = ca or clients_ca
        settings[folder / "broker" / CA_FILE] = clients_ca
    written = _write_public(_Work(fleet, folder, ca, keys, owners, settings))
    states = Counter(_equip(owner, authority, renew, days) for owner in owners)
    return Outcome(states, written, sorted(_left_over(folder, owners)))


def _owners(fleet: Fleet, folder: Path, *, serves: bool) -> Iterator[Owner]:
    """Everybody who gets a certificate."""
    asks = folder / "requests"
    for gateway in fleet.gateway:
        label = f"{gateway.client}/{gateway.name}"
        place = gateway_folder(folder, gateway) / "credentials"
        request = asks / "gateways" / f"{label}.csr"
        yield Owner(label, gateway_subject(gateway), place / "client.key", place / "client.crt", request)
    for operator in fleet.operator:
        place = operator_folder(folder, operator)
        request = asks / "operators" / f"{operator.name}.csr"
        yield Owner(operator.name, operator_subject(operator), place / "client.key", place / "client.crt", request)
    if serves:
        place = folder / "broker"
        names = fleet.broker.names or (BrokerUrl.parse(fleet.broker.url).host,)
        files = (place / "server.key", place / "server.crt", asks / "broker.csr")
        yield Owner(BROKER, {"CN": "emtc-guard broker"}, *files, usage="serverAuth", names=names)


def gateway_folder(folder: Path, gateway: Gateway) -> Path:
    """What goes onto a gateway."""
    return folder / "gateways" / gateway.client / gateway.name


def operator_folder(folder: Path, operator: Operator) -> Path:
    """What an operator gets."""
    return folder / "operators" / operator.name


def _require_known(renew: Sequence[str], owners: Sequence[Owner]) -> None:
    known = {owner.label for owner in owners} | {EVERYBODY}
    for label in renew:
        if label not in known:
            raise InputError(f"--renew {label}: nobody of that name has a certificate from here")


def _all_settings(
    fleet: Fleet, listed: Path, folder: Path, *, own_ca: bool, keys: tuple[str, ...]
) -> Iterator[tuple[Path, bytes]]:
    for gateway in fleet.gateway:
        settings = gateway_settings(fleet, gateway, own_ca=own_ca, keys=keys)
        text = settings_text(settings, f"{listed}: gateway.toml of {gateway.client}/{gateway.name}")
        yield gateway_folder(folder, gateway) / "gateway.toml", text.encode()


def _write_public(work: _Work) -> int:
    """Write everything but keys and certificates; returns how many files changed."""
    contents = dict(work.settings)
    contents[work.folder / "broker" / "acl"] = render_rules(work.fleet).encode()
    places = [gateway_folder(work.folder, gateway) for gateway in work.fleet.gateway]
    for place in places:
        contents |= {place / name: content for name, content in work.keys.items()}
    if work.ca:
        places += [operator_folder(work.folder, operator) for operator in work.fleet.operator]
        contents |= {place / CA_FILE: work.ca for place in places}
    written = sum(_write(path, content) for path, content in contents.items())
    return written + sum(_identify(work.folder, gateway) for gateway in work.fleet.gateway)


def _write(path: Path, content: bytes) -> bool:
    """Write a file unless it is so already; whether it was not."""
    if path.is_file() and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, content, mode=PUBLIC_MODE)
    return True


def _identify(folder: Path, gateway: Gateway) -> bool:
    """Write who a gateway is, with a secret of its own, unless it has one; whether it had none."""
    path = gateway_folder(folder, gateway) / "credentials" / "identity.toml"
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER_MODE)
    lines = (
        f'client = "{gateway.client}"',
        f'gateway = "{gateway.name}"',
        f'secret = "{secrets.token_hex(_SECRET_BYTES)}"  # for keyed hashes; as long as it stays, so do they',
    )
    write_durably(path, ("\n".join(lines) + "\n").encode(), mode=PRIVATE_MODE)
    return True


def _equip(owner: Owner, authority: Authority | None, renew: Sequence[str], days: int) -> State:
    for place in (owner.key.parent, owner.request.parent):
        place.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER_MODE)
    return equip(owner, authority, days=days, renew=owner.label in renew or EVERYBODY in renew)


def _left_over(folder: Path, owners: Sequence[Owner]) -> Iterator[Path]:
    """Folders of those who are in the list no more; they are left for people to look at."""
    current = {owner.key for owner in owners}
    for pattern in ("gateways/*/*/credentials/client.key", "operators/*/client.key"):
        for key in set(folder.glob(pattern)) - current:
            yield key.parent.parent if key.parent.name == "credentials" else key.parent


def _read(listed: Path, name: str) -> bytes:
    """A file that the fleet list names."""
    path = listed.parent / name
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_KEY_BYTES + 1)
    except OSError as error:
        raise InputError(f"{listed}: {path}: {error.strerror or error}") from None
    if not content or len(content) > _MOST_KEY_BYTES:
        raise InputError(f"{listed}: {path}: is empty or larger than {_MOST_KEY_BYTES} bytes")
    return content
