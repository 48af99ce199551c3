"""Settings of model updates."""

from __future__ import annotations

from dataclasses import dataclass, field

from emtc_agent.updates.download import DownloadConfig
from emtc_agent.updates.trial import TrialConfig
from emtc_contract.bundle import MAX_BUNDLE_BYTES


@dataclass(frozen=True, slots=True)
class UpdateConfig:
    """How to take updates.

    Attributes:
        names: Models to take; empty takes newer versions of the one in use and of the fallback.
        max_bytes: Largest bundle to take.
        reserve_bytes: Room to leave on the disk.
        retry_s: Pause after a first failure, doubled after each further one ...
        longest_retry_s: ... up to this.
        max_damaged: How often a bundle may arrive damaged before this process leaves it.
        chunks_at_once: Chunks to ask the broker for at a time.
        download: How to download.
        trial: Bands of the trial.
    """

    names: tuple[str, ...] = ()
    max_bytes: int = MAX_BUNDLE_BYTES
    reserve_bytes: int = 16 << 20
    retry_s: float = 60.0
    longest_retry_s: float = 3_600.0
    max_damaged: int = 4
    chunks_at_once: int = 8
    download: DownloadConfig = field(default_factory=DownloadConfig)
    trial: TrialConfig = field(default_factory=TrialConfig)
