"""Keys, requests and certificates by the ``openssl`` program: EC P-256, with what strict X.509 checks ask for.

Extensions follow RFC 5280; ``openssl verify -x509_strict`` and Python 3.13's default checks take them.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from emtc_contract.errors import InputError

Usage = Literal["clientAuth", "serverAuth"]
_TIMEOUT_S = 60.0
_EXPIRED = "Certificate will expire"
_NOTHING = Path(os.devnull)


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says of itself.

    Attributes:
        subject: As in RFC 2253.
        public_key: PEM.
        expired: Whether its time is over.
    """

    subject: str
    public_key: str
    expired: bool


def new_key() -> bytes:
    """A private key (PEM)."""
    return _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256").encode()


def public_key(key: Path) -> str:
    """The public half of a private key (PEM)."""
    return _openssl("pkey", "-in", key, "-passin", "pass:", "-pubout")


def new_request(key: Path, subject: dict[str, str], names: Sequence[str] = ()) -> bytes:
    """A certificate signing request (PEM)."""
    asked = ["-addext", f"subjectAltName={_alternative(names)}"] if names else []
    return _openssl("req", "-new", "-key", key, "-config", _NOTHING, "-subj", _slashes(subject), *asked).encode()


def new_authority(key: Path, subject: dict[str, str], days: int) -> bytes:
    """A certificate (PEM) that may sign others, but none that may sign further ones."""
    extensions = (
        "basicConstraints=critical,CA:TRUE,pathlen:0",
        "keyUsage=critical,keyCertSign,cRLSign",
        "subjectKeyIdentifier=hash",
    )
    added = [part for extension in extensions for part in ("-addext", extension)]
    who = ("-key", key, "-config", _NOTHING, "-subj", _slashes(subject), "-days", str(days))
    return _openssl("req", "-x509", "-new", *who, *added).encode()


def sign(request: Path, authority: Path, key: Path, *, usage: Usage, names: Sequence[str], days: int) -> bytes:
    """A certificate (PEM) for a request, for one use only."""
    extensions = [
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature",
        f"extendedKeyUsage={usage}",
        "subjectKeyIdentifier=hash",
        "authorityKeyIdentifier=keyid:always",
    ]
    if names:
        extensions.append(f"subjectAltName={_alternative(names)}")
    serial = hex(secrets.randbits(126) | 1 << 126)  # positive and of fixed length: RFC 5280, 4.1.2.2
    who = ("-in", request, "-CA", authority, "-CAkey", key, "-passin", "pass:")
    how = ("-sha256", "-days", str(days), "-set_serial", serial, "-extfile", "/dev/stdin")
    return _openssl("x509", "-req", *who, *how, given="\n".join(extensions) + "\n").encode()


def read_certificate(path: Path) -> CertificateFacts:
    """What a certificate file holds; raises InputError if it is none."""
    asked = ("-noout", "-subject", "-nameopt", "RFC2253", "-pubkey", "-checkend", "0")
    said = _openssl("x509", "-in", path, *asked, may_end_with=(0, 1), must_say="subject=")
    lines = said.splitlines()
    subject = next(line.removeprefix("subject=").strip() for line in lines if line.startswith("subject="))
    begin, end = lines.index("-----BEGIN PUBLIC KEY-----"), lines.index("-----END PUBLIC KEY-----")
    pem = "\n".join(lines[begin : end + 1]) + "\n"
    return CertificateFacts(subject, pem, expired=any(line.startswith(_EXPIRED) for line in lines))


def _slashes(subject: dict[str, str]) -> str:
    return "".join(f"/{key}={value}" for key, value in subject.items())


def _alternative(names: Sequence[str]) -> str:
    return ",".join(f"{'IP' if _is_address(name) else 'DNS'}:{name}" for name in names)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _openssl(
    *arguments: str | Path, given: str = "", may_end_with: tuple[int, ...] = (0,), must_say: str = ""
) -> str:
    """Run it and return what it printed; raises InputError with its first complaint."""
    environment = {**os.environ, "OPENSSL_CONF": str(_NOTHING), "LC_ALL": "C"}
    command = ["openssl", *map(str, arguments)]
    try:
        done = subprocess.run(  # noqa: S603 - a list, no shell
            command, input=given, capture_output=True, text=True, env=environment, timeout=_TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise InputError("openssl is not installed (Debian package openssl)") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"openssl {command[1]}: {error}") from None
    if done.returncode not in may_end_with or must_say not in done.stdout:
        complaint = next((line for line in done.stderr.splitlines() if line.strip()), f"exit code {done.returncode}")
        files = ", ".join(str(part) for part in arguments if isinstance(part, Path) and part != _NOTHING)
        raise InputError(f"{files or 'openssl'}: openssl {command[1]}: {complaint.strip()[:200]}")
    return done.stdout
