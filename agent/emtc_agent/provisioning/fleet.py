"""The fleet list: which gateways and operators there are (TOML, strict)."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec

from emtc_contract.errors import InputError, MessageError
from emtc_contract.topics import check_name

Role = Literal["operator", "viewer", "home-assistant"]
Settings = dict[str, dict[str, Any]]
"""Section -> key -> value, as in an agent's settings file."""
_MOST_BYTES = 16 << 20
_RESERVED = frozenset({"broker", "all"})
"""What ``--renew`` takes beside operators."""
_SERVER_NAME = re.compile(r"(?:[A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}|[0-9a-fA-F:]{2,39}")


class BrokerSite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The broker all gateways report to.

    Attributes:
        url: As in an agent's settings: ``mqtts://host[:port]``.
        names: Host names and addresses its certificate is for; by default the host of ``url``.
        ca_file: Who signs its certificate, relative to the fleet list; by default the authority of ``--ca``.
        home_assistant: Whether gateways may announce themselves to Home Assistant.
    """

    url: str
    names: tuple[str, ...] = ()
    ca_file: str | None = None
    home_assistant: bool = False


class Gateway(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One gateway; ``settings`` go over those of the fleet."""

    client: str
    name: str
    settings: Settings = {}


class Operator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person or program that listens to gateways: those of one client, or all where ``client`` is missing."""

    name: str
    client: str | None = None
    role: Role = "operator"


class Fleet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of a fleet list.

    Attributes:
        broker: Where everybody meets.
        gateway, operator: Who there is.
        settings: For every gateway.
        model_keys: minisign public keys, relative to the fleet list, one of which has to have signed a model.
    """

    broker: BrokerSite
    gateway: tuple[Gateway, ...] = ()
    operator: tuple[Operator, ...] = ()
    settings: Settings = {}
    model_keys: tuple[str, ...] = ()


def load_fleet(path: Path) -> Fleet:
    """Read a fleet list.

    Raises:
        InputError: Not readable, not TOML, or a key, name or value that cannot be; says where in the file.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise InputError(f"{path}: more than {_MOST_BYTES >> 20} MB is no fleet list")
        fleet = msgspec.convert(tomllib.loads(raw.decode()), Fleet)
        _check(fleet)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply") from None
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {_explain(str(error))}") from None
    except MessageError as error:
        raise InputError(f"{path}: {error}") from None
    return fleet


def _check(fleet: Fleet) -> None:
    """Raise MessageError for a name that cannot be, or is there twice."""
    if not fleet.gateway:
        raise MessageError("no [[gateway]]")
    for number, name in enumerate(fleet.model_keys):
        if not name.endswith(".pub"):
            raise MessageError(f"model_keys[{number}]: {name!r} does not end in .pub")
    for number, name in enumerate(fleet.broker.names):
        if not _SERVER_NAME.fullmatch(name):
            raise MessageError(f"broker.names[{number}]: {name!r} is neither a host name nor an address")
    _check_names(fleet)
    _unique("model_keys", (Path(name).name for name in fleet.model_keys))
    _unique("gateway", (f"{one.client}/{one.name}" for one in fleet.gateway))
    _unique("operator", (one.name for one in fleet.operator))
    if fleet.broker.home_assistant:  # its discovery joins both names: a-b/c and a/b-c would write the same topic
        _unique("gateway", (f"{one.client}-{one.name}" for one in fleet.gateway))


def _check_names(fleet: Fleet) -> None:
    for number, gateway in enumerate(fleet.gateway):
        check_name(gateway.client, f"gateway[{number}].client")
        check_name(gateway.name, f"gateway[{number}].name")
    for number, operator in enumerate(fleet.operator):
        check_name(operator.name, f"operator[{number}].name")
        if operator.name in _RESERVED:
            raise MessageError(f"operator[{number}].name: {operator.name} is taken")
        if operator.client is not None:
            check_name(operator.client, f"operator[{number}].client")


def _unique(what: str, names: Iterable[str]) -> None:
    first: dict[str, int] = {}
    for number, name in enumerate(names):
        if name in first:
            raise MessageError(f"{what}[{number}]: {name} is {what}[{first[name]}] already")
        first[name] = number


def _explain(complaint: str) -> str:
    """The complaint of msgspec, with the nearest key where one is unknown."""
    unknown = re.search(r"unknown field `(.+?)`", complaint)
    if not unknown:
        return complaint.replace("$.", "")
    where = complaint.partition("at `$")[2].strip("`.")
    place = f" in {where.lstrip('.')}" if where else ""
    keys = {key for struct in (Fleet, BrokerSite, Gateway, Operator) for key in struct.__struct_fields__}
    close = difflib.get_close_matches(unknown[1], keys, 1, 0.5)
    return f"unknown key {unknown[1]}{place}" + (f"; did you mean {close[0]}?" if close else "")
