"""The rows a bundle carries with the scores of the trained network (``check.npz``, see ``emtc_contract.bundle``)."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from emtc_agent.packets import Bool, Float32, Float64, Int64
from emtc_contract.errors import BundleError

BENIGN, ATTACK, FAR_OUT, ODD = range(4)
_MEMBERS = ("rows", "kind", "score", "threshold")
_MAX_ROWS = 100_000
_MAX_ARRAY_BYTES = 64 << 20
_UNREADABLE = (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, OSError, TypeError, RuntimeError)


@dataclass(frozen=True, slots=True)
class CheckRows:
    """N rows.

    Attributes:
        rows: (N, F) raw features.
        kind: (N,) ``BENIGN``, ``ATTACK``; ``FAR_OUT``, ``ODD``: rows no extractor gives.
        score: (N,) score of the trained network.
        threshold: Its threshold.
    """

    rows: Float32
    kind: Int64
    score: Float64
    threshold: float

    def of_kind(self, *kinds: int) -> Bool:
        """(N,) which rows are of one of these kinds."""
        return np.isin(self.kind, kinds)


def decode(raw: bytes, columns: int, where: str) -> CheckRows:
    """The rows in ``check.npz``; raises BundleError if it holds anything else, or too much."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MAX_ARRAY_BYTES:
                raise BundleError(f"{where}: unpacks to more than {_MAX_ARRAY_BYTES} bytes")
            rows, kind, score, threshold = (_array(archive.read(f"{name}.npy")) for name in _MEMBERS)
    except _UNREADABLE as error:
        raise BundleError(f"{where}: not readable: {error}") from None
    whole = rows.ndim == 2 and rows.shape[1] == columns and kind.ndim == score.ndim == 1
    if not whole or not 0 < len(rows) == len(kind) == len(score) <= _MAX_ROWS:
        raise BundleError(f"{where}: holds rows of shape {rows.shape} for {columns} features")
    if rows.dtype != np.float32 or kind.dtype.kind not in "iu" or score.dtype != np.float64 or threshold.ndim:
        raise BundleError(f"{where}: holds {rows.dtype} rows with {kind.dtype} kinds and {score.dtype} scores")
    if not (threshold.dtype == np.float64 and 0 < threshold < np.inf and np.isfinite(score).all()):
        raise BundleError(f"{where}: holds scores or a threshold that are no numbers")
    return CheckRows(rows, kind.astype(np.int64), score, float(threshold))


def _array(raw: bytes) -> npt.NDArray[Any]:
    """The array of a .npy file. numpy's own reader first allocates whatever the header claims."""
    stream = io.BytesIO(raw)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f".npy version {version}")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
    return np.frombuffer(raw, dtype, offset=stream.tell()).reshape(shape, order="F" if fortran_order else "C")
