"""Learning that has not ended, on disk: a power cut costs the minutes since the last snapshot."""

from __future__ import annotations

import io
import logging
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from emtc_agent.durable import write_durably
from emtc_agent.learning.device_key import MAC_BYTES, DeviceKey
from emtc_agent.learning.quarantine import Tally
from emtc_agent.learning.rows import NAMES, Key, Rows
from emtc_agent.packets import Float64
from emtc_contract.errors import InputError

FORMAT = 1
MAX_SNAPSHOT_BYTES = 64 << 20
_PURPOSE = "emtc-guard learning"
_log = logging.getLogger(__name__)


class Progress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What there is besides windows.

    Attributes:
        model_sha256: Of the model that scored.
        trusted: Whether an operator vouches for the traffic.
        accepted: Families of attack that it looks like all the same.
        elapsed_s, seconds: How long learning went on, and how long it shall.
        seen: Windows seen.
        offered: Windows offered to the sample.
        barred: Endpoints that are kept out, and until what capture time.
        refused, refused_of, odd_of: See ``Tally``.
    """

    format: int
    model_sha256: str
    trusted: bool
    accepted: tuple[str, ...]
    elapsed_s: float
    seconds: float
    seen: int
    offered: int
    barred: list[tuple[Key, int]]
    refused: dict[str, int]
    refused_of: list[tuple[Key, int]]
    odd_of: list[tuple[Key, int]]

    def tally(self) -> Tally:
        """The counts."""
        return Tally(Counter(self.refused), Counter(dict(self.refused_of)), Counter(dict(self.odd_of)))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of it.

    Attributes:
        progress: Settings and counts.
        sample, draw: See ``Reservoir.dump``.
        trial: See ``Trial.rows``.
    """

    progress: Progress
    sample: Rows
    draw: Float64
    trial: Rows


def save(path: Path, snapshot: Snapshot, key: DeviceKey) -> None:
    """Write and sign a snapshot; raises OSError."""
    columns = {f"sample_{name}": getattr(snapshot.sample, name) for name in NAMES}
    columns |= {f"trial_{name}": getattr(snapshot.trial, name) for name in NAMES}
    progress = np.frombuffer(msgspec.json.encode(snapshot.progress), np.uint8)
    file = io.BytesIO()
    np.savez(file, progress=progress, draw=snapshot.draw, **columns)
    content = file.getvalue()
    write_durably(path, key.mac(content, _PURPOSE) + content)


def forget(path: Path) -> None:
    """Remove a snapshot; one on a disk that cannot be written to is only told of."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("%s: %s; a restart would go on with it", path, error.strerror)


def load(path: Path, key: DeviceKey, model_sha256: str) -> Snapshot:
    """Read and check a snapshot.

    Raises:
        InputError: Not written by this device and this version of the program, or with another model in use.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SNAPSHOT_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    mac, content = raw[:MAC_BYTES], raw[MAC_BYTES:]
    if not key.vouches(mac, content, _PURPOSE):
        raise InputError(f"{path}: not written by the device of {key.path}, or damaged")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as held:
            progress = msgspec.json.decode(held["progress"].tobytes(), type=Progress)
            sample = Rows(*(held[f"sample_{name}"] for name in NAMES))
            trial = Rows(*(held[f"trial_{name}"] for name in NAMES))
            draw = held["draw"]
    except (ValueError, KeyError, msgspec.DecodeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: written by another version of this program: {error}") from None
    if progress.format != FORMAT:
        raise InputError(f"{path}: snapshot format {progress.format}, this program reads {FORMAT}")
    if progress.model_sha256 != model_sha256:
        raise InputError(f"{path}: begun with another model")
    return Snapshot(progress, sample, draw, trial)
