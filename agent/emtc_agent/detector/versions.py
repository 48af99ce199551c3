"""The highest version seen of each model, on disk, so that an old bundle cannot come back unnoticed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from emtc_agent.feature_files import Replacement
from emtc_contract.bundle import Manifest
from emtc_contract.errors import BundleError, InputError


def require_newest(manifest: Manifest, state: Path, *, allow_older: bool) -> None:
    """Refuse a version below the highest that ``state`` remembers for the model; remember this one otherwise.

    Args:
        manifest: Of a bundle whose signature was checked.
        state: JSON file, model name to version; made when missing.
        allow_older: Take an older version all the same, and make it the one that counts.

    Raises:
        BundleError: An older version.
        InputError: ``state`` cannot be read or written.
    """
    try:
        seen = msgspec.json.decode(state.read_bytes(), type=dict[str, int]) if state.exists() else {}
        highest = seen.get(manifest.name, 0)
        if manifest.version < highest and not allow_older:
            raise BundleError(
                f"{manifest.name} version {manifest.version} is older than {highest}, which was used here"
            )
        if manifest.version != highest:
            replacement = Replacement(state)
            replacement.path.write_bytes(msgspec.json.encode(seen | {manifest.name: manifest.version}))
            replacement.finish(complete=True)
    except OSError as error:
        raise InputError(f"{state}: {error.strerror or error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{state}: not a record of versions: {error}") from None
