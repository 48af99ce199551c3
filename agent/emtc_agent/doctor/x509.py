"""The few fields of an X.509 certificate that the doctor judges (RFC 5280); signatures are left to the TLS library.

::

    Certificate     SEQUENCE { tbs, algorithm, signature }
    tbs             SEQUENCE { [0] version, serial, algorithm, issuer, validity, subject, key, ..., [3] extensions }
    extension       SEQUENCE { oid, BOOLEAN critical DEFAULT FALSE, OCTET STRING { value } }
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from emtc_contract.errors import InputError

MAX_BYTES = 2 << 20
_MOST_CERTIFICATES = 1_000
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_BOOLEAN, _BITS, _OCTETS, _OID, _SEQUENCE = 0x01, 0x03, 0x04, 0x06, 0x30
_UTC_TIME, _VERSION, _EXTENSIONS = 0x17, 0xA0, 0xA3
_COMMON_NAME = bytes.fromhex("550403")
_KEY_USAGE, _BASIC_CONSTRAINTS, _PURPOSES = (bytes.fromhex(oid) for oid in ("551d0f", "551d13", "551d25"))
_PURPOSE_NAMES = {
    bytes.fromhex("2b06010505070301"): "serverAuth",
    bytes.fromhex("2b06010505070302"): "clientAuth",
    bytes.fromhex("551d2500"): "any",
}
_USAGE_NAMES = (
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
)
_MOST_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate.

    Attributes:
        subject: Its common name, for messages.
        not_before_s, not_after_s: When it is valid, seconds since 1970.
        is_authority: Whether it may sign others.
        usage: keyUsage as RFC 5280 names it; None without that extension, which allows everything.
        purposes: extKeyUsage, likewise; purposes that do not matter here are ``other``.
    """

    subject: str
    not_before_s: float
    not_after_s: float
    is_authority: bool
    usage: frozenset[str] | None
    purposes: frozenset[str] | None


class _DamagedError(Exception):
    pass


def read_certificates(path: Path) -> list[Certificate]:
    """All certificates of a PEM file, in its order; at least one.

    Raises:
        InputError: It cannot be read, holds none, or a damaged one.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    if len(raw) > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES} bytes")
    blocks = _PEM.findall(raw.decode("latin-1"))
    if not blocks or len(blocks) > _MOST_CERTIFICATES:
        raise InputError(f"{path}: holds {len(blocks) or 'no'} certificates (PEM)")
    return [_parse_pem(block, f"{path}: certificate {number}") for number, block in enumerate(blocks, 1)]


def _parse_pem(block: str, where: str) -> Certificate:
    try:
        der = ssl.PEM_cert_to_DER_cert(block)
    except ValueError:
        raise InputError(f"{where}: not PEM") from None
    return parse_certificate(der, where)


def parse_certificate(der: bytes, where: str) -> Certificate:
    """Take a certificate apart; raises InputError if it is damaged."""
    try:
        return _certificate(der)
    except (_DamagedError, ValueError, OverflowError):
        raise InputError(f"{where}: damaged") from None


def _certificate(der: bytes) -> Certificate:
    tbs = _items(_content(_content(der, _SEQUENCE), _SEQUENCE))
    if tbs and tbs[0][0] == _VERSION:
        del tbs[0]
    if len(tbs) < 6:
        raise _DamagedError
    validity, subject = _items(tbs[3][1]), tbs[4][1]
    if len(validity) != 2:
        raise _DamagedError
    extensions = dict(_extensions(tbs[6:]))
    return Certificate(
        _common_name(subject),
        _time_s(*validity[0]),
        _time_s(*validity[1]),
        _is_authority(extensions.get(_BASIC_CONSTRAINTS)),
        _usage(extensions.get(_KEY_USAGE)),
        _purposes(extensions.get(_PURPOSES)),
    )


def _item(octets: bytes, at: int) -> tuple[int, bytes, int]:
    """Tag, content, and where the next item begins."""
    head = octets[at : at + 2]
    if len(head) < 2:
        raise _DamagedError
    tag, length = head
    at += 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(octets[at : at + size])
        at += size
    if at + length > len(octets):
        raise _DamagedError
    return tag, octets[at : at + length], at + length


def _items(octets: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(octets):
        tag, content, at = _item(octets, at)
        found.append((tag, content))
    return found


def _content(octets: bytes, expected: int) -> bytes:
    """What is in the first item, which has to be of a kind."""
    tag, content, _ = _item(octets, 0)
    if tag != expected:
        raise _DamagedError
    return content


def _time_s(tag: int, text: bytes) -> float:
    form = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(text.decode("ascii"), form).replace(tzinfo=UTC).timestamp()


def _common_name(name: bytes) -> str:
    for _, relative in _items(name):
        for _, pair in _items(relative):
            parts = _items(pair)
            if len(parts) == 2 and parts[0][1] == _COMMON_NAME:
                text = parts[1][1].decode("utf-8", "replace")[:_MOST_CHARACTERS]
                return "".join(one if one.isprintable() else "?" for one in text)
    return "without a name"


def _extensions(fields: list[tuple[int, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    for tag, content in fields:
        if tag == _EXTENSIONS:
            for _, extension in _items(_content(content, _SEQUENCE)):
                parts = _items(extension)
                if len(parts) < 2 or parts[0][0] != _OID or parts[-1][0] != _OCTETS:
                    raise _DamagedError
                yield parts[0][1], parts[-1][1]


def _is_authority(value: bytes | None) -> bool:
    parts = _items(_content(value, _SEQUENCE)) if value is not None else []
    return bool(parts) and parts[0][0] == _BOOLEAN and any(parts[0][1])


def _usage(value: bytes | None) -> frozenset[str] | None:
    if value is None:
        return None
    bits = _content(value, _BITS)[1:2] or b"\0"
    return frozenset(name for number, name in enumerate(_USAGE_NAMES) if bits[0] & 0x80 >> number)


def _purposes(value: bytes | None) -> frozenset[str] | None:
    if value is None:
        return None
    return frozenset(_PURPOSE_NAMES.get(oid, "other") for _, oid in _items(_content(value, _SEQUENCE)))
