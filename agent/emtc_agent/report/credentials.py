"""Secrets by path, read anew for each connection, so that a renewed certificate is taken without a restart."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emtc_contract.errors import InputError

_MAX_PASSWORD_BYTES = 1_024


def look_up(name: str, beside: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """Where a file named in the settings is.

    A relative one is in the folder that systemd hands over (``LoadCredential=``) if it is there, else beside the
    settings.
    """
    path = Path(name)
    handed = environment.get("CREDENTIALS_DIRECTORY")
    if path.is_absolute() or not handed:
        return beside / path
    given = Path(handed) / path
    return given if given.exists() else beside / path


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files that a connection needs; None for those that it does not. ``secret`` is a password outside a file."""

    ca_file: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    user: str | None = None
    password_file: Path | None = None
    secret: str | None = field(default=None, repr=False)

    def tls(self) -> ssl.SSLContext:
        """TLS 1.2 or newer, host name checked; raises InputError that says which file is wrong."""
        _require(self.ca_file, self.certificate, self.private_key)
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise InputError(f"{self.ca_file}: no certificate authorities: {_reason(error)}") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate is None:
            return context
        try:
            context.load_cert_chain(self.certificate, self.private_key, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            both = f"{self.certificate} and {self.private_key}"
            raise InputError(f"{both}: no certificate with its key: {_reason(error)}") from None
        return context

    def password(self) -> str | None:
        """First line of the password file, or the one that was given itself."""
        if self.password_file is None:
            return self.secret
        _require(self.password_file)
        try:
            with self.password_file.open("rb") as file:
                return file.read(_MAX_PASSWORD_BYTES).decode().partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.password_file}: no password: {_reason(error)}") from None


def _require(*paths: Path | None) -> None:
    for path in paths:
        if path is not None and not path.exists():
            raise InputError(f"{path}: is not there (yet)")


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
