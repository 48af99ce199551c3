"""Key, request and certificate of one owner: what is missing is made, what is there is kept and checked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from emtc_agent.durable import sync_folder, write_durably
from emtc_agent.provisioning import openssl
from emtc_agent.provisioning.authority import PRIVATE_MODE, PUBLIC_MODE, Authority
from emtc_agent.provisioning.rules import username
from emtc_contract.errors import InputError


@dataclass(frozen=True, slots=True)
class Owner:
    """Somebody who proves who they are with a certificate.

    Attributes:
        label: What to call them in ``--renew`` and errors.
        subject: Of their certificate.
        key, certificate, request: Their files; the request is what another authority would sign.
        usage: What the certificate is for.
        names: Host names and addresses it is for, if it is a server's.
    """

    label: str
    subject: dict[str, str]
    key: Path
    certificate: Path
    request: Path
    usage: openssl.Usage = "clientAuth"
    names: tuple[str, ...] = ()


class State(Enum):
    """How an owner's certificate came to be."""

    SIGNED = "signed"
    KEPT = "kept"
    WAITING = "waiting for a certificate"


def equip(owner: Owner, authority: Authority | None, *, days: int, renew: bool) -> State:
    """Make what the owner lacks; a power cut in between leaves less, never parts that do not fit.

    Args:
        owner: Whose.
        authority: Signs the request; None leaves that to another one.
        days: How long a new certificate is good.
        renew: Make key and certificate anew.

    Raises:
        InputError: A certificate that is not the owner's, or whose time is over.
        OSError: A file cannot be written.
    """
    if renew:
        owner.key.unlink(missing_ok=True)
    if not owner.key.exists():
        _forget(owner.certificate, owner.request)
        write_durably(owner.key, openssl.new_key(), mode=PRIVATE_MODE)
    if owner.certificate.exists():
        _require_own(owner)
        return State.KEPT
    if (
        authority or not owner.request.exists()
    ):  # an old one has been around: sign none that somebody may have changed
        request = openssl.new_request(owner.key, owner.subject, owner.names)
        write_durably(owner.request, request, mode=PUBLIC_MODE)
    if authority is None:
        return State.WAITING
    signed = openssl.sign(
        owner.request, authority.certificate, authority.key, usage=owner.usage, names=owner.names, days=days
    )
    write_durably(owner.certificate, signed, mode=PUBLIC_MODE)
    return State.SIGNED


def _forget(*files: Path) -> None:
    """Remove what belonged to an earlier key."""
    for file in files:
        if file.exists():
            file.unlink()
            sync_folder(file.parent)


def _require_own(owner: Owner) -> None:
    facts = openssl.read_certificate(owner.certificate)
    wanted = username(owner.subject)
    remedy = f"; --renew {owner.label} makes both anew"
    if facts.public_key != openssl.public_key(owner.key):
        raise InputError(f"{owner.certificate}: is for another key than {owner.key.name}{remedy}")
    if owner.usage == "clientAuth" and facts.subject != wanted:
        raise InputError(f"{owner.certificate}: is for {facts.subject}; the broker's rules are for {wanted}")
    if facts.expired:
        raise InputError(f"{owner.certificate}: its time is over{remedy}")
