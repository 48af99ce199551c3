"""Taking bundles apart and putting them together otherwise."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

from emtc_contract.bundle import MANIFEST


def members(path: Path) -> dict[str, bytes]:
    """Every member by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, content: dict[str, bytes | str]) -> Path:
    """A zip of these members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, octets in content.items():
            archive.writestr(name, octets)
    return path


def with_manifest(bundle_file: Path, path: Path, change) -> Path:
    """A copy whose manifest was changed by ``change``, a function of the parsed JSON."""
    content = members(bundle_file)
    manifest = json.loads(content[MANIFEST])
    change(manifest)
    return write(path, content | {MANIFEST: json.dumps(manifest)})


def with_model(bundle_file: Path, path: Path, model: bytes) -> Path:
    """A copy whose first model is another, with a manifest that agrees."""
    digest = hashlib.sha256(model).hexdigest()
    change = {"sha256": digest, "size_bytes": len(model)}
    with_manifest(bundle_file, path, lambda m: m["artifacts"][0].update(change))
    return write(path, members(path) | {"model.onnx": model})
