"""Opening a bundle without trusting it: sizes, names and digests are checked before anything is used."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from emtc_agent.detector.signature import require_signature
from emtc_contract.bundle import (
    MANIFEST,
    MAX_BUNDLE_BYTES,
    MAX_MANIFEST_BYTES,
    Artifact,
    Manifest,
    decode_manifest,
)
from emtc_contract.errors import BundleError, SchemaError
from emtc_contract.schema import FeatureSchema
from emtc_contract.schemas import get_schema

_MAX_MEMBERS = 64
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError)
_MAX_OTHER_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Bundle:
    """A checked bundle.

    Attributes:
        name: File name, for messages.
        manifest: Its manifest.
        schema: The feature schema its models take.
        models: Model bytes by member name.
    """

    name: str
    manifest: Manifest
    schema: FeatureSchema
    models: dict[str, bytes] = field(repr=False)

    def artifact(self, runtime: str, precision: str | None = None) -> Artifact | None:
        """The artifact for a runtime: of that precision, or else fp32 before others."""
        held = [one for one in self.manifest.artifacts if one.runtime == runtime]
        fitting = [one for one in held if precision in (None, one.precision)]
        return min(fitting, key=lambda one: one.precision != "fp32", default=None)


def load_bundle(path: Path, keys: Sequence[Path] = ()) -> Bundle:
    """Read and check a bundle.

    Args:
        path: The file.
        keys: Public keys. With any, the bundle has to be signed by one of them, and nothing is unpacked before that
            is clear; without, digests still tell damage, but anybody may have made it.

    Raises:
        BundleError: It is damaged, foreign or does not match its own manifest; says which member and why.
        SchemaError: Its models were made for another feature schema.
    """
    where = str(path)
    raw = _bytes(path)
    if keys:
        require_signature(raw, path, keys)
    with _opened(raw, where) as archive:
        members = _members(archive, where)
        manifest = decode_manifest(_read(archive, members, MANIFEST, MAX_MANIFEST_BYTES, where), where)
        models = {artifact.file: _read_model(archive, members, artifact, where) for artifact in manifest.artifacts}
        for name, digest in manifest.digests.items():
            _require_digest(_read(archive, members, name, _MAX_OTHER_BYTES, where), digest, name, where)
    unknown = set(members) - {MANIFEST, *models, *manifest.digests}
    if unknown:
        raise BundleError(f"{where}: the manifest does not know {min(unknown)}")
    return Bundle(path.name, manifest, _schema(manifest, where), models)


def read_member(path: Path, name: str) -> bytes:
    """A member of a bundle that ``load_bundle`` accepts; raises BundleError if there is none."""
    where = str(path)
    with _opened(_bytes(path), where) as archive:
        return _read(archive, _members(archive, where), name, _MAX_OTHER_BYTES, where)


def _bytes(path: Path) -> bytes:
    """The whole file, read once: what is checked is what is used."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BUNDLE_BYTES + 1)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror or error}") from None
    if len(raw) > MAX_BUNDLE_BYTES:
        raise BundleError(f"{path}: larger than {MAX_BUNDLE_BYTES} bytes")
    return raw


@contextmanager
def _opened(raw: bytes, where: str) -> Iterator[zipfile.ZipFile]:
    """The zip; whatever is wrong with it is a BundleError that says where."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            yield archive
    except _BAD_ZIP as error:
        raise BundleError(f"{where}: not a readable zip: {error}") from None


def _members(archive: zipfile.ZipFile, where: str) -> dict[str, zipfile.ZipInfo]:
    """Members by name; refuses names and numbers that an honest bundle does not have."""
    infos = archive.infolist()
    if len(infos) > _MAX_MEMBERS:
        raise BundleError(f"{where}: {len(infos)} members")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        if info.filename in members or "/" in info.filename or "\\" in info.filename or info.filename.startswith("."):
            raise BundleError(f"{where}: member name {info.filename[:100]!r} is not allowed")
        members[info.filename] = info
    return members


def _read(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str, limit_bytes: int, where: str
) -> bytes:
    """A member's bytes; never unpacks more than ``limit_bytes``, whatever the member claims."""
    if name not in members:
        raise BundleError(f"{where}: has no {name}")
    with archive.open(members[name]) as member:
        raw = member.read(limit_bytes + 1)
    if len(raw) > limit_bytes:
        raise BundleError(f"{where}: {name} is larger than {limit_bytes} bytes")
    return raw


def _read_model(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], artifact: Artifact, where: str
) -> bytes:
    model = _read(archive, members, artifact.file, artifact.size_bytes, where)
    _require_digest(model, artifact.sha256, artifact.file, where)
    return model


def _require_digest(content: bytes, sha256: str, name: str, where: str) -> None:
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BundleError(f"{where}: {name} does not match its digest in the manifest")


def _schema(manifest: Manifest, where: str) -> FeatureSchema:
    try:
        schema = get_schema(manifest.schema_name)
    except SchemaError as error:
        raise SchemaError(f"{where}: {error}") from None
    schema.require_same(manifest.schema_name, manifest.schema_digest, where)
    missing = [column for column in schema.columns if column not in manifest.usual]
    if missing:
        raise BundleError(f"{where}: the manifest has no usual range for {', '.join(missing[:3])}")
    return schema
