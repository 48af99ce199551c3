"""Who made a bundle: a detached minisign signature beside it, ``NAME.minisig``, checked before anything is unpacked.

``minisign -V -p KEY.pub -m NAME`` checks the same. Format: https://jedisct1.github.io/minisign/
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emtc_contract.errors import BundleError, InputError, RuntimeMissingError

if TYPE_CHECKING:
    from minisign import PublicKey, Signature

SUFFIX = ".minisig"
_MAX_BYTES = 4_096  # of a key or a signature file


def require_signature(raw: bytes, bundle: Path, keys: Sequence[Path]) -> None:
    """Accept ``raw``, the bytes of ``bundle``, only if one of the keys signed them.

    Args:
        raw: What was read.
        bundle: Where from; the signature lies beside it.
        keys: Public key files; several while one replaces another.

    Raises:
        BundleError: Not signed, signed with another key, or changed since.
        InputError: A key file that is none.
        RuntimeMissingError: The library that checks signatures is not installed.
    """
    require_signed(raw, _beside(bundle), keys, str(bundle))


def require_signed(content: bytes, signature: bytes, keys: Sequence[Path], where: str) -> None:
    """Accept ``content`` only if one of the keys signed it.

    Args:
        content: What was signed.
        signature: Octets of the minisign signature.
        keys: Public key files; with none, nothing is accepted.
        where: What to call the content in messages.

    Raises:
        BundleError: No signature, by another key, or of something else.
        InputError: A key file that is none.
        RuntimeMissingError: The library that checks signatures is not installed.
    """
    if not keys:
        raise BundleError(f"{where}: no key is trusted, so nothing is")
    trusted = [_public_key(path) for path in keys]
    parsed = _signature(signature, where)
    refused = [_refused(key, content, parsed) for key in trusted]
    if all(refused):
        why = "; ".join(f"{path}: {reason}" for path, reason in zip(keys, refused, strict=True))
        raise BundleError(f"{where}: not as its maker signed it, or signed by another: {why}")


def _refused(key: PublicKey, raw: bytes, signature: Signature) -> str:
    """Why the key does not vouch for the bytes; empty if it does."""
    from minisign import VerifyError

    try:
        key.verify(raw, signature)
    except VerifyError as error:
        return str(error)
    return ""


def _public_key(path: Path) -> PublicKey:
    try:
        from minisign import ParseError, PublicKey
    except ImportError:
        raise RuntimeMissingError("bundle signatures need py-minisign: pip install 'emtc-guard[gateway]'") from None
    try:
        return PublicKey.from_bytes(_read(path))
    except (ParseError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a minisign public key: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None


def _beside(bundle: Path) -> bytes:
    """The signature that lies beside a bundle."""
    path = bundle.with_name(bundle.name + SUFFIX)
    try:
        return _read(path)
    except FileNotFoundError:
        raise BundleError(f"{bundle}: not signed: {path.name} is not beside it, and a key is required") from None
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror or error}") from None


def _signature(octets: bytes, where: str) -> Signature:
    from minisign import ParseError, Signature

    try:
        return Signature.from_bytes(octets)
    except (ParseError, UnicodeDecodeError) as error:
        raise BundleError(f"{where}{SUFFIX}: not a minisign signature: {error}") from None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_BYTES)
