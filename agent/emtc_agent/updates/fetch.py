"""Getting one announced bundle, over whichever way it was announced, with pauses after failures."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from emtc_agent.updates.config import UpdateConfig
from emtc_agent.updates.download import Download
from emtc_agent.updates.incoming import Incoming
from emtc_contract.errors import BundleError, EmtcError, InputError
from emtc_contract.updates import Announcement


class Fetch:
    """One bundle on its way.

    Args:
        folder: Where to keep it.
        announcement: What was announced.
        config: How.
        hurry: Says whether a step should end early.

    Attributes:
        announcement: What was announced.
        retry_s: When to go on after a failure, None if nothing failed.

    Raises:
        InputError: There is no room for it.
    """

    def __init__(
        self, folder: Path, announcement: Announcement, config: UpdateConfig, hurry: Callable[[], bool]
    ) -> None:
        self.announcement = announcement
        self.retry_s: float | None = None
        self._incoming = Incoming(folder, announcement)
        self._require_room(folder, config)
        self._config = config
        self._failures = self._damaged = 0
        url = announcement.url
        self._download = Download(url, self._incoming, config.download, hurry) if url is not None else None

    @property
    def have_bytes(self) -> int:
        """How much of it is there."""
        return self._incoming.have_bytes

    def wanted(self) -> tuple[str, ...]:
        """Chunks to ask the broker for now."""
        return () if self.retry_s is not None else self._incoming.missing(self._config.chunks_at_once)

    def put(self, number: int, piece: bytes) -> bool:
        """Take a chunk; returns whether it was a new one. Raises MessageError if it does not fit."""
        return self._incoming.put(number, piece)

    def step(self) -> tuple[Path | None, bool]:
        """The next step; returns the complete bundle if it is there, and whether more can be done at once."""
        if self.retry_s is not None:
            return None, False
        if self._download is not None:
            complete = self._download.step()
        else:
            complete = self.have_bytes == self.announcement.size_bytes
        if complete:
            return self._incoming.finish(), True
        return None, self._download is not None

    def failed(self, error: EmtcError | OSError, now_s: float) -> bool:
        """Pause after a failure of a step; returns False once it is not worth another attempt."""
        self.close()
        self._damaged += isinstance(error, BundleError)
        pause_s = min(self._config.retry_s * 2**self._failures, self._config.longest_retry_s)
        self._failures = min(self._failures + 1, 30)
        jitter = 0.75 + secrets.randbelow(501) / 1_000  # a fleet that failed together does not come back together
        self.retry_s = now_s + pause_s * jitter
        return self._damaged <= self._config.max_damaged

    def is_due(self, now_s: float) -> bool:
        """Whether the pause is over."""
        return self.retry_s is not None and now_s >= self.retry_s

    def close(self) -> None:
        """Hang up; what is there stays."""
        if self._download is not None:
            self._download.close()

    def _require_room(self, folder: Path, config: UpdateConfig) -> None:
        missing = self.announcement.size_bytes - self.have_bytes
        free = shutil.disk_usage(folder).free
        if free < missing + config.reserve_bytes:
            raise InputError(f"{folder}: {free} bytes free, {missing} and {config.reserve_bytes} to spare are needed")
