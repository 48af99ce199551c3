"""Whether the files for TLS are in order, before a broker refuses them."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

from emtc_agent.doctor.finding import Finding
from emtc_agent.doctor.x509 import Certificate, read_certificates
from emtc_contract.errors import InputError

WARN_DAYS = 30
_DAY_S = 86_400
_OWN_AUTHORITIES = 8  # a file with more is the system's, whose members come and go
_NOT_OURS = stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP


def check_authorities(path: Path, now_s: float) -> list[Finding]:
    """The authorities that a broker's certificate is judged by."""
    name = "certificate authorities"
    try:
        held = read_certificates(path)
    except InputError as error:
        return [Finding(name, "problem", str(error), "Set ca_file in [broker] to the PEM file of the broker's CA.")]
    if len(held) > _OWN_AUTHORITIES:
        return [Finding(name, "ok", f"{path}: {len(held)} certificates")]
    return [_authority(name, one, now_s) for one in held]


def _authority(name: str, one: Certificate, now_s: float) -> Finding:
    fix = "Ask whoever runs the broker for the certificate of its authority (CA:TRUE, keyCertSign)."
    if not one.is_authority:
        return Finding(name, "warning", f"{one.subject} is not an authority: it vouches for itself alone", fix)
    if one.usage is not None and "keyCertSign" not in one.usage:
        return Finding(name, "problem", f"{one.subject} may not sign certificates: keyUsage lacks keyCertSign", fix)
    return judge_dates(name, one.subject, one.not_before_s, one.not_after_s, now_s)


def check_own_certificate(path: Path, key: Path, now_s: float) -> list[Finding]:
    """The gateway's certificate and its private key."""
    name = "own certificate"
    try:
        own = read_certificates(path)[0]
    except InputError as error:
        return [Finding(name, "problem", str(error), "Set certificate in [broker] to the gateway's PEM file.")]
    dates = judge_dates(name, own.subject, own.not_before_s, own.not_after_s, now_s)
    return [dates, *_client_use(name, own), *check_secret("private key", key), _pair(path, key)]


def _client_use(name: str, own: Certificate) -> list[Finding]:
    """What OpenSSL asks of a client's certificate: purpose ``sslclient`` in openssl-verification-options(1)."""
    fix = "Have it issued anew with keyUsage digitalSignature and extendedKeyUsage clientAuth."
    if own.purposes is not None and not own.purposes & {"clientAuth", "any"}:
        return [Finding(name, "problem", "extendedKeyUsage lacks clientAuth: brokers refuse it", fix)]
    if own.usage is not None and not own.usage & {"digitalSignature", "keyAgreement"}:
        return [Finding(name, "problem", "keyUsage lacks digitalSignature: brokers refuse it", fix)]
    return []


def check_secret(name: str, path: Path) -> list[Finding]:
    """Whether a file with a secret can be read by the agent, and not by everybody."""
    try:
        with path.open("rb") as file:
            file.read(1)
        mode = path.stat().st_mode
    except OSError as error:
        fix = "Correct its path in [broker], or give the agent's user the right to read it."
        return [Finding(name, "problem", f"{path}: {error.strerror}", fix)]
    if mode & _NOT_OURS:
        what = f"{path}: others may read or change it (mode {stat.S_IMODE(mode):03o})"
        return [Finding(name, "problem", what, f"Take that away: chmod 640 {path}, owner root, group of the agent.")]
    return [Finding(name, "ok", f"{path}: mode {stat.S_IMODE(mode):03o}")]


def _pair(path: Path, key: Path) -> Finding:
    name, asked = "certificate and key", []

    def no_password() -> str:
        asked.append(True)
        return ""

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(path, key, no_password)
    except (OSError, ValueError) as error:
        if asked:
            fix = f"Take the password off: openssl pkey -in {key} -out PLAIN, mode 640."
            return Finding(name, "problem", f"{key} is encrypted, and nobody is there to type a password", fix)
        fix = "Use the key that the certificate was issued for; both are PEM files."
        return Finding(name, "problem", _mismatch(error, path, key), fix)
    return Finding(name, "ok", "they belong together")


def _mismatch(error: Exception, path: Path, key: Path) -> str:
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    if reason == "KEY_VALUES_MISMATCH":
        return f"{key} is not the key of {path}"
    return f"{path} and {key} cannot be used: {reason or error}"


def judge_dates(name: str, subject: str, not_before_s: float, not_after_s: float, now_s: float) -> Finding:
    """Whether a certificate is valid now, and for long enough to be replaced without haste."""
    days = (not_after_s - now_s) / _DAY_S
    if now_s < not_before_s:
        what = f"{subject}: not valid yet, for {(not_before_s - now_s) / _DAY_S:.1f} days"
        return Finding(name, "problem", what, "Check the clock first; else wait or have it issued anew.")
    if days < 0:
        return Finding(name, "problem", f"{subject}: expired {-days:.0f} days ago", "Have it issued anew.")
    if days < WARN_DAYS:
        return Finding(name, "warning", f"{subject}: expires in {days:.0f} days", "Have it issued anew soon.")
    return Finding(name, "ok", f"{subject}: valid for {days:.0f} days more")
