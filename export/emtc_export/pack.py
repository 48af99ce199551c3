"""Writing a bundle: the same content gives the same bytes, and the file appears only when complete."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from emtc_agent.feature_files import Replacement
from emtc_contract.errors import BundleError

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_bundle(path: Path, members: Mapping[str, bytes]) -> None:
    """Write members in the given order; raises BundleError if the file cannot be written."""
    replacement = Replacement(path)
    try:
        with zipfile.ZipFile(replacement.path, "w") as archive:
            for name, content in members.items():
                info = zipfile.ZipInfo(name, _ZIP_EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                archive.writestr(info, content)
    except OSError as error:
        replacement.finish(complete=False)
        raise BundleError(f"{path}: {error.strerror or error}") from None
    replacement.finish(complete=True)
