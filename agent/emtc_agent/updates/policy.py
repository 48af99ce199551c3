"""Whether to take an announcement: a pure decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emtc_agent.updates.config import UpdateConfig
from emtc_agent.updates.download import require_safe_url
from emtc_agent.updates.record import Identity
from emtc_contract.errors import InputError
from emtc_contract.updates import Announcement


@dataclass(frozen=True, slots=True)
class Held:
    """What this gateway has.

    Attributes:
        in_use: The model that scores, ...
        shipped: ... the fallback, None where it cannot be read.
        confirmed: Highest version that ever passed its trial, by name.
        lost: Digest of a confirmed bundle that has to come again.
    """

    in_use: Identity | None
    shipped: Identity | None
    confirmed: Mapping[str, int]
    lost: str = ""


def is_in_use(one: Announcement, held: Held) -> bool:
    """Whether it announces what is in use already."""
    return held.in_use == Identity(one.name, one.version, one.sha256)


def require_wanted(one: Announcement, held: Held, config: UpdateConfig) -> None:
    """Raise InputError that says why an announcement, whose signature was checked, is not taken."""
    here = [identity for identity in (held.in_use, held.shipped) if identity is not None]
    names: Sequence[str] = config.names or [identity.name for identity in here]
    if one.name not in names:
        raise InputError(f"announced is model {one.name!r}; taken are {', '.join(map(repr, names)) or 'none'}")
    newest = max((identity.version for identity in here if identity.name == one.name), default=0)
    if one.version <= newest:
        raise InputError(f"announced is {one.name} version {one.version}, not newer than {newest}, which is here")
    confirmed = held.confirmed.get(one.name, 0)
    if one.version < confirmed + (one.sha256 != held.lost):
        raise InputError(f"announced is {one.name} version {one.version}, not newer than {confirmed}, which was used")
    if one.size_bytes > config.max_bytes:
        raise InputError(f"announced are {one.size_bytes} bytes, taken are at most {config.max_bytes}")
    if one.url is not None:
        require_safe_url(one.url)
