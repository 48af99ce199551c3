"""Making keys and signatures, in minisign's format: the ``minisign`` program reads and writes the same files."""

from __future__ import annotations

import os
from pathlib import Path

from minisign import Error, KeyPair, SecretKey

from emtc_agent.detector import load_bundle
from emtc_agent.detector.signature import SUFFIX
from emtc_agent.feature_files import Replacement
from emtc_contract.errors import InputError


def generate(stem: Path, password: str) -> tuple[Path, Path]:
    """Write ``STEM.pub`` and ``STEM.key``, which only its owner may read; never replaces a key.

    Args:
        stem: Path without suffix.
        password: Encrypts the secret key; empty leaves it as it is.
    """
    public, secret = (stem.with_name(stem.name + suffix) for suffix in (".pub", ".key"))
    pair = KeyPair.generate()
    pair.public_key.untrusted_comment = "emtc-guard bundle key"
    written = bytes(pair.public_key)
    if password:
        pair.secret_key.encrypt(password)
    pair.secret_key.untrusted_comment = "emtc-guard bundle key, secret"
    _write_new(secret, bytes(pair.secret_key) + b"\n", 0o600)
    _write_new(public, written + b"\n", 0o644)
    return public, secret


def is_encrypted(secret: Path) -> bool:
    """Whether a secret key needs a password."""
    return _load(secret).is_encrypted()


def sign(bundle: Path, secret: Path, password: str) -> Path:
    """Write the signature of a good bundle beside it.

    Raises:
        BundleError: Not a bundle an agent would accept.
        InputError: The key is none, or its password another.
    """
    manifest = load_bundle(bundle).manifest
    key = _load(secret)
    try:
        if password:
            key.decrypt(password)
        made = key.sign(bundle.read_bytes(), trusted_comment=f"{manifest.name} version {manifest.version}")
    except (Error, ValueError) as error:
        raise InputError(f"{secret}: {error}") from None
    finally:
        key.wipe()
    target = bundle.with_name(bundle.name + SUFFIX)
    replacement = Replacement(target)
    try:
        replacement.path.write_bytes(bytes(made) + b"\n")
    except OSError as error:
        raise InputError(f"{target}: {error.strerror or error}") from None
    replacement.finish(complete=True)
    return target


def _load(secret: Path) -> SecretKey:
    try:
        return SecretKey.from_file(secret)
    except OSError as error:
        raise InputError(f"{secret}: {error.strerror or error}") from None
    except (Error, UnicodeDecodeError) as error:
        raise InputError(f"{secret}: not a minisign secret key: {error}") from None


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
