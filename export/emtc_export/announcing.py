"""Announcing a bundle to gateways: the signed payload of the topic ``model``, and the chunks that may carry it."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minisign import Error, SecretKey

from emtc_agent.detector import load_bundle
from emtc_agent.durable import write_durably
from emtc_contract.errors import InputError
from emtc_contract.topics import build
from emtc_contract.updates import (
    SCHEMA,
    Announcement,
    chunk_argument,
    chunks_of,
    encode_announcement,
    encode_offer,
)
from emtc_export import signing

PAYLOAD = "announcement.json"
DEFAULT_CHUNK_BYTES = 64 << 10


def announce(
    bundle: Path, secret: Path, password: str, folder: Path, *, url: str | None = None, chunk_bytes: int | None = None
) -> list[Path]:
    """Write the payload, and the chunks if there is no URL; returns the files, the payload last.

    The key signs the bundle as well, whatever signature lies beside it, so that one key is enough on the gateway.

    Args:
        bundle: What to announce.
        secret: Key that gateways trust.
        password: Of the key; empty if it has none.
        folder: Where to; made when missing.
        url: Where gateways can get the bundle.
        chunk_bytes: Size of the chunks.

    Raises:
        BundleError: Not a bundle an agent would accept.
        MessageError: Not to be announced so.
        InputError: The key is none, its password another, or the folder cannot be written.
    """
    manifest, content = load_bundle(bundle).manifest, bundle.read_bytes()
    if url is None and chunk_bytes is None:
        chunk_bytes = DEFAULT_CHUNK_BYTES
    comment = f"{manifest.name} version {manifest.version}"
    with _unlocked(secret, password) as key:
        announcement = Announcement(
            schema=SCHEMA,
            name=manifest.name,
            version=manifest.version,
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            bundle_signature=_signature(key, content, comment),
            url=url,
            chunks=None if chunk_bytes is None else chunks_of(len(content), chunk_bytes),
            chunk_bytes=chunk_bytes,
        )
        text = encode_announcement(announcement)
        payload = encode_offer(text, _signature(key, text, f"announcement of {comment}"))
    return list(_written(folder, announcement, content, payload))


def commands(files: list[Path], client: str, gateway: str) -> list[str]:
    """How to publish the files with mosquitto_pub; raises MessageError for names that topics do not allow."""
    topics = [build(client, gateway, "chunk", file.name) for file in files[:-1]] + [build(client, gateway, "model")]
    return [
        shlex.join(["mosquitto_pub", "-V", "mqttv5", "-q", "1", "-r", "-t", topic, "-f", str(file)])
        for topic, file in zip(topics, files, strict=True)
    ]


def _written(folder: Path, one: Announcement, content: bytes, payload: bytes) -> Iterator[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        size = one.chunk_bytes or 0
        for number in range(one.chunks or 0):
            path = folder / chunk_argument(one.sha8, number)
            write_durably(path, content[number * size : (number + 1) * size], mode=0o644)
            yield path
        write_durably(folder / PAYLOAD, payload, mode=0o644)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror or error}") from None
    yield folder / PAYLOAD


def _signature(key: SecretKey, content: bytes, comment: str) -> str:
    return bytes(key.sign(content, trusted_comment=comment)).decode() + "\n"


@contextmanager
def _unlocked(secret: Path, password: str) -> Iterator[SecretKey]:
    """The secret key, wiped at the end."""
    signing.is_encrypted(secret)  # says in words what is wrong with the file
    key = SecretKey.from_file(secret)
    try:
        if password:
            key.decrypt(password)
        yield key
    except (Error, ValueError) as error:
        raise InputError(f"{secret}: {error}") from None
    finally:
        key.wipe()
