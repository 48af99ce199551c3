"""The device's own key: it vouches to itself, so that a file of another gateway, or a changed one, is noticed.

It does not keep out whoever can read the key: root of this device.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path

from emtc_agent.durable import write_durably
from emtc_contract.errors import InputError

_KEY_BYTES = 32
MAC_BYTES = 32


class DeviceKey:
    """A key for HMAC-SHA256.

    Args:
        path: Its file.

    Raises:
        InputError: No such file, not a key, or others may read it.
    """

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                self._key = file.read(_KEY_BYTES + 1)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from None
        if len(self._key) != _KEY_BYTES:
            raise InputError(f"{path}: not a device key of {_KEY_BYTES} bytes")
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InputError(f"{path}: a device key that others may read (chmod 600 it)")
        self.path = path

    @classmethod
    def made(cls, path: Path) -> DeviceKey:
        """The key in a file, which is made when there is none."""
        try:
            if not path.exists():
                write_durably(path, secrets.token_bytes(_KEY_BYTES), mode=0o600)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from None
        return cls(path)

    def mac(self, content: bytes, purpose: str) -> bytes:
        """What proves that this device wrote ``content`` for ``purpose``."""
        return hmac.new(self._key, purpose.encode() + b"\0" + content, hashlib.sha256).digest()

    def vouches(self, mac: bytes, content: bytes, purpose: str) -> bool:
        """Whether ``mac`` is what ``mac()`` gives."""
        return hmac.compare_digest(mac, self.mac(content, purpose))
