"""Model updates over MQTT: the signed announcement of a bundle, and the chunks that may carry it.

The payload of the retained topic ``.../model`` is an ``Offer``: the JSON text of an ``Announcement`` with a minisign
signature of exactly those octets, so that nothing of the announcement is read before its signature is checked. The
bundle comes from a URL, or as chunks retained at ``.../chunk/<sha8>-<n>``, the raw octets of piece ``n``.

Other than in messages to subscribers, unknown fields are refused: what an old agent does not understand in an
instruction it must not skip. A new field takes a new ``schema``.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeVar

import msgspec

from emtc_contract.bundle import MAX_BUNDLE_BYTES
from emtc_contract.errors import MessageError
from emtc_contract.messages import MAX_PAYLOAD_BYTES

SCHEMA: Literal["emtc-model/1"] = "emtc-model/1"
MAX_OFFER_BYTES = 32 * 1024
MAX_SIGNATURE_CHARACTERS = 4_000
MAX_URL_CHARACTERS = 2_000
MAX_VERSION = 2**53 - 1
MIN_CHUNK_BYTES = 1_024
MAX_CHUNK_BYTES = MAX_PAYLOAD_BYTES
MAX_CHUNKS = 4_096

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_URL = re.compile(r"https?://[!-~]+\Z")
_CHUNK = re.compile(r"([0-9a-f]{8})-(0|[1-9][0-9]{0,4})\Z")

_Signature = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SIGNATURE_CHARACTERS)]


class Offer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Payload of ``.../model``.

    Attributes:
        announcement: JSON text of an ``Announcement``.
        signature: Text of the minisign signature of its UTF-8 octets.
    """

    announcement: Annotated[str, msgspec.Meta(min_length=2, max_length=MAX_OFFER_BYTES)]
    signature: _Signature


class Announcement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bundle to be had.

    Attributes:
        schema: ``SCHEMA``: also keeps this signed text apart from any other that the same key signs.
        name: Of the model, as in the bundle's manifest.
        version: As in the manifest; ascends.
        size_bytes: Of the bundle.
        sha256: Of the bundle, in hex.
        bundle_signature: Text of the bundle's ``.minisig``.
        url: Where it can be had, https (or http on the gateway itself); or else
        chunks: how many chunks carry it, ...
        chunk_bytes: ... each of this size but for the last.
    """

    schema: Literal["emtc-model/1"]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    version: Annotated[int, msgspec.Meta(ge=1, le=MAX_VERSION)]
    size_bytes: Annotated[int, msgspec.Meta(ge=1, le=MAX_BUNDLE_BYTES)]
    sha256: Annotated[str, msgspec.Meta(min_length=64, max_length=64)]
    bundle_signature: _Signature
    url: Annotated[str, msgspec.Meta(max_length=MAX_URL_CHARACTERS)] | None = None
    chunks: Annotated[int, msgspec.Meta(ge=1, le=MAX_CHUNKS)] | None = None
    chunk_bytes: Annotated[int, msgspec.Meta(ge=MIN_CHUNK_BYTES, le=MAX_CHUNK_BYTES)] | None = None

    @property
    def sha8(self) -> str:
        """What its chunks are called by."""
        return self.sha256[:8]


_T = TypeVar("_T", Offer, Announcement)


def decode_offer(payload: bytes) -> Offer:
    """The offer in a payload; raises MessageError. The announcement in it is still anybody's word."""
    return _decode(payload, Offer)


def decode_announcement(text: bytes) -> Announcement:
    """The announcement in a text whose signature was checked; raises MessageError that names the field."""
    announcement = _decode(text, Announcement)
    if not (announcement.name.isascii() and announcement.name.isprintable()):
        raise MessageError("Announcement: the name is not printable ASCII")
    if not _SHA256.match(announcement.sha256):
        raise MessageError("Announcement: sha256 is not 64 of 0-9 and a-f")
    if announcement.url is not None and not _URL.match(announcement.url):
        raise MessageError("Announcement: the url is not one of http:// or https://")
    _check_chunks(announcement)
    return announcement


def encode_announcement(announcement: Announcement) -> bytes:
    """The text to sign; raises MessageError if no agent would take it."""
    text = msgspec.json.encode(announcement)
    decode_announcement(text)
    return text


def encode_offer(text: bytes, signature: str) -> bytes:
    """The payload to publish, of a signed announcement's text."""
    payload = msgspec.json.encode(Offer(text.decode(), signature))
    decode_offer(payload)
    return payload


def chunks_of(size_bytes: int, chunk_bytes: int) -> int:
    """How many chunks a bundle takes."""
    return -(-size_bytes // chunk_bytes)


def chunk_argument(sha8: str, number: int) -> str:
    """Last part of the topic of a chunk, which counts from 0."""
    return f"{sha8}-{number}"


def parse_chunk_argument(argument: str) -> tuple[str, int]:
    """``sha8`` and number of a chunk's topic; raises MessageError."""
    match = _CHUNK.match(argument)
    if not match:
        raise MessageError(f"not a chunk: {argument[:100]!r}")
    return match[1], int(match[2])


def _decode(payload: bytes, kind: type[_T]) -> _T:
    if len(payload) > MAX_OFFER_BYTES:
        raise MessageError(f"{kind.__name__}: {len(payload)} bytes are too many")
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"{kind.__name__}: {error}") from None


def _check_chunks(one: Announcement) -> None:
    if (one.chunks is None) != (one.chunk_bytes is None):
        raise MessageError("Announcement: chunks and chunk_bytes belong together")
    if (one.url is None) == (one.chunk_bytes is None):
        raise MessageError("Announcement: either a url or chunks, not both and not neither")
    if one.chunk_bytes is not None and one.chunks != chunks_of(one.size_bytes, one.chunk_bytes):
        raise MessageError(
            f"Announcement: {one.size_bytes} bytes are not {one.chunks} chunks of {one.chunk_bytes} bytes"
        )
