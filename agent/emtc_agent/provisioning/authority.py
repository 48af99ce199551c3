"""A certificate authority in a folder: for tests and for sites too small to have one."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from emtc_agent.durable import write_durably
from emtc_agent.provisioning import openssl
from emtc_contract.errors import InputError

DAYS = 3_650
PRIVATE_MODE, PUBLIC_MODE = 0o600, 0o644
PRIVATE_FOLDER_MODE = 0o700


@dataclass(frozen=True, slots=True)
class Authority:
    """Files of an authority that can sign."""

    certificate: Path
    key: Path


def open_authority(folder: Path) -> Authority:
    """The authority in ``folder``, made if there is none.

    Raises:
        InputError: One of its files is missing, is for another key, or its time is over.
        OSError: The folder cannot be written.
    """
    authority = Authority(folder / "ca.crt", folder / "ca.key")
    if authority.certificate.exists():
        _require_usable(authority)
        return authority
    folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER_MODE)
    if not authority.key.exists():
        write_durably(authority.key, openssl.new_key(), mode=PRIVATE_MODE)
    subject = {"CN": f"emtc-guard CA {secrets.token_hex(4)}"}
    write_durably(authority.certificate, openssl.new_authority(authority.key, subject, DAYS), mode=PUBLIC_MODE)
    return authority


def _require_usable(authority: Authority) -> None:
    facts = openssl.read_certificate(authority.certificate)
    if not authority.key.exists():
        raise InputError(f"{authority.certificate}: its key {authority.key.name} is not beside it")
    if openssl.public_key(authority.key) != facts.public_key:
        raise InputError(f"{authority.certificate}: is for another key than {authority.key.name}")
    if facts.expired:
        raise InputError(f"{authority.certificate}: its time is over; move the folder away to make a new authority")
