"""Scenario files: what a lab consists of and what happens in it (TOML, strict)."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from emtc_contract.errors import InputError
from emtc_lab.attacks.types import ATTACKS, FAMILIES
from emtc_lab.devices.kinds import KINDS
from emtc_lab.devices.personality import PERSONALITIES
from emtc_lab.link import PROFILES, Amount, Profile

Positive = Annotated[float, msgspec.Meta(gt=0)]
View = Literal["ethernet", "raw-ip", "gtp-u"]
Style = Literal["loud", "low"]
MOST_DEVICES = 120
"""A lab of one process per device stays usable on two cores up to about this number."""


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Devices of one kind; their firmware personalities come from the seed unless one is named."""

    kind: str
    count: Annotated[int, msgspec.Meta(ge=1, le=MOST_DEVICES)] = 1
    link: str = "lte-m"
    personality: str | None = None


class AttackPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which attacks run: types, families or ``all``, in which styles, and how they are spaced."""

    types: tuple[str, ...] = ("all",)
    styles: tuple[Style, ...] = ("loud", "low")
    order: Literal["shuffled", "as listed"] = "shuffled"
    quiet_start_s: Positive = 180.0
    pause_s: Positive = 40.0
    longest_s: Annotated[float, msgspec.Meta(gt=0, le=300)] = 60.0


class Events(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Benign disturbances: mean seconds between two of a kind; 0 means never."""

    firmware_campaign_s: Amount = 0.0
    factory_reset_s: Amount = 0.0
    power_cut_s: Amount = 0.0
    link_outage_s: Amount = 0.0
    broker_restart_s: Amount = 0.0
    dns_failure_s: Amount = 0.0


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A site and its day. ``compress`` divides the devices' sleeps; packets within an exchange keep their timing."""

    name: str
    devices: Annotated[tuple[Group, ...], msgspec.Meta(min_length=1)]
    description: str = ""
    minutes: Annotated[float, msgspec.Meta(gt=0, le=1440)] = 10.0
    compress: Annotated[float, msgspec.Meta(ge=1, le=100)] = 1.0
    snaplen: Annotated[int, msgspec.Meta(ge=64, le=65535)] = 128
    views: tuple[View, ...] = ("ethernet",)
    links: dict[str, Profile] = {}
    events: Events = Events()
    attacks: AttackPlan | None = None

    def profile(self, link: str) -> Profile:
        """The link profile of a name, the scenario's own first."""
        return self.links.get(link) or PROFILES[link]

    @property
    def device_count(self) -> int:
        """Devices of all groups."""
        return sum(group.count for group in self.devices)

    @property
    def attack_types(self) -> list[str]:
        """The named types, families spelt out, in the order of the file."""
        names: list[str] = []
        for wanted in self.attacks.types if self.attacks else ():
            names += list(ATTACKS) if wanted == "all" else FAMILIES.get(wanted, [wanted])
        return list(dict.fromkeys(names))


def load(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        InputError: Not readable, not TOML, or a key or name that is not known; names file, key and the nearest
            valid name.
    """
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
        scenario = msgspec.convert(table, Scenario)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from None
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {_explain(str(error))}") from None
    _check_names(scenario, path)
    return scenario


def _explain(complaint: str) -> str:
    """The complaint of msgspec, with the nearest key where one is unknown."""
    unknown = re.search(r"unknown field `(.+?)`", complaint)
    if not unknown:
        return complaint.replace("$.", "")
    where = complaint.partition("at `$")[2].strip("`.")
    place = f" in {where.lstrip('.')}" if where else ""
    return f"unknown key {unknown[1]}{place}{_nearest(unknown[1], _keys())}"


def _keys() -> set[str]:
    return {key for struct in (Scenario, Group, AttackPlan, Events, Profile) for key in struct.__struct_fields__}


def _nearest(name: str, valid: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(valid), 1, 0.5)
    return f"; did you mean {close[0]}?" if close else ""


def _check_names(scenario: Scenario, path: Path) -> None:
    links = {*PROFILES, *scenario.links}
    for number, group in enumerate(scenario.devices):
        _known(path, f"devices[{number}].kind", group.kind, KINDS)
        _known(path, f"devices[{number}].link", group.link, links)
        if group.personality is not None:
            _known(path, f"devices[{number}].personality", group.personality, PERSONALITIES)
    for name in scenario.attacks.types if scenario.attacks else ():
        _known(path, "attacks.types", name, {*ATTACKS, *FAMILIES, "all"})
    if scenario.device_count > MOST_DEVICES:
        raise InputError(f"{path}: devices: {scenario.device_count} devices, at most {MOST_DEVICES}")


def _known(path: Path, key: str, name: str, valid: Iterable[str]) -> None:
    if name not in valid:
        raise InputError(f"{path}: {key}: unknown name {name}{_nearest(name, valid)}")
