"""Model updates for the daemon: announcements in, switches out, and figures of the new model for its trial."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from emtc_agent import __version__
from emtc_agent.detector import load_bundle
from emtc_agent.updates.check import Choice
from emtc_agent.updates.config import UpdateConfig
from emtc_agent.updates.intake import NOTHING_BEFORE, Intake, Site, Switch
from emtc_agent.updates.record import Identity
from emtc_agent.updates.slots import Slots
from emtc_agent.updates.trial import Baseline, Expected, Trial
from emtc_agent.updates.worker import Worker
from emtc_contract.edge_v1 import EDGE_V1
from emtc_contract.errors import EmtcError, InputError, MessageError
from emtc_contract.schema import FeatureSchema
from emtc_contract.updates import MAX_CHUNK_BYTES, MAX_OFFER_BYTES, parse_chunk_argument

_DECIDE_AGAIN_S = 60.0
_CLOSE_S = 5.0
NO_KEYS = "model updates are refused: no bundle key is configured, and unsigned models from elsewhere are never taken"
log = logging.getLogger(__name__)


class Updater:
    """All of it; every method is for the main thread and returns at once.

    Args:
        folder: For the slots and what is on its way; made when missing.
        fallback: The shipped or configured bundle, used where no slot can be.
        keys: Public keys; an announcement and its bundle must be signed by one of them. None take nothing.
        runtime, precision, threads: What will run the models; see ``open_runtime``.
        fallback_keys: Keys that must vouch for the fallback.
        schema: The features this agent extracts.
        config: Settings.
        clock: Monotonic seconds.

    Raises:
        InputError: The folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        fallback: Path,
        keys: Sequence[Path],
        *,
        runtime: str | None = None,
        precision: str | None = None,
        threads: int = 1,
        fallback_keys: Sequence[Path] = (),
        schema: FeatureSchema = EDGE_V1,
        config: UpdateConfig | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        how, self._config = Choice(runtime, precision, threads), config or UpdateConfig()
        self._site = Site(folder, fallback, fallback_keys, tuple(keys), how, schema, self._config, clock)
        self._clock = clock
        self._counters: Counter[str] = Counter()
        self._last_error = ""
        self._path: Path | None = None
        self._trial: Trial | None = None
        self._decide_s = 0.0
        self._baseline = Baseline(clock())
        self._shipped = self._identify_fallback()
        try:
            self._slots = Slots(folder, self._identify, __version__, self._config.trial.max_deaths)
        except OSError as error:
            raise InputError(f"{folder}: {error.strerror or error}") from None
        self._worker = Worker("model-updates", self._step, self._trouble)
        self._intake = Intake(self._site, self._slots, self._shipped, self._expected, self._worker.has_jobs)

    def bundle_path(self) -> Path:
        """The bundle to load at start; first goes back from a trial in which the process died too often.

        Raises:
            InputError: The folder cannot be written.
        """
        if self._path is None:
            self._path = self._started() if self._site.keys else self._site.fallback
        return self._path

    def rejected(self, why: str) -> Path:
        """The bundle of ``bundle_path``, or of the last switch, cannot be used: the bundle to load instead.

        If that is the fallback and it was rejected itself, there is nothing else.

        Raises:
            InputError: The folder cannot be written.
        """
        if self._slots.record.active is not None and self._site.keys:
            self._counters["rejected"] += 1
            self._guarded(partial(self._slots.give_up, why))
            self._guarded(partial(self._slots.start, self._shipped))
        self._begin_trial()
        self._path = self._slots.path() or self._site.fallback
        return self._path

    def offer(self, payload: bytes) -> None:
        """An announcement arrived."""
        self._counters["offers"] += 1
        if not self._site.keys:
            self._refuse(NO_KEYS)
        elif len(payload) > MAX_OFFER_BYTES:
            self._refuse(f"an announcement of {len(payload)} bytes")
        else:
            self._submit(partial(self._intake.offered, payload))

    def wanted_chunks(self) -> tuple[str, ...]:
        """Arguments of the chunk topics to be subscribed to now, a few at a time.

        Chunks are retained: the broker sends each as soon as it is subscribed to. Unsubscribe when it has come; as
        long as it is wanted all the same, subscribing again brings it again.
        """
        return self._intake.wanted

    def chunk(self, topic_argument: str, payload: bytes) -> None:
        """A chunk arrived."""
        try:
            sha8, number = parse_chunk_argument(topic_argument)
        except MessageError as error:
            self._refuse(str(error))
            return
        if sha8 != self._intake.progress.sha8:
            self._counters["chunks ignored"] += 1
        elif len(payload) > MAX_CHUNK_BYTES:
            self._refuse(f"a chunk of {len(payload)} bytes")
        else:
            self._submit(partial(self._intake.chunk, sha8, number, payload))

    def roll_back(self, why: str) -> None:
        """Leave the model in use for the one before it, also after its trial; ``poll`` gives the switch soon after.

        The model that is left counts as failed: its announcement is not taken again until ``retry``.

        Raises:
            InputError: There is none before it, or too much is going on.
        """
        self._require_keys()
        if self._slots.record.active is None:
            raise InputError(f"{NOTHING_BEFORE}: the fallback is in use")
        self._ask(partial(self._intake.go_back, why))

    def retry(self) -> str:
        """Forget that models failed here, and look at the latest announcement again.

        Returns:
            What was announced; empty if nothing was since the start.

        Raises:
            InputError: Too much is going on.
        """
        self._require_keys()
        self._ask(self._intake.look_again)
        one = self._intake.announced
        return f"{one.name} version {one.version}" if one is not None else ""

    def poll(self) -> Switch | None:
        """The switch to carry out now, if there is one; call it between batches, and at least every few seconds."""
        if self._intake.is_due():
            self._submit(self._intake.retry)
        self._judge()
        if self._intake.ready.empty():
            return None
        switch = self._intake.ready.get_nowait()
        self._path = switch.path
        self._baseline = Baseline(self._clock())
        self._begin_trial()
        return switch

    def observe(self, scored_windows: int, seconds: float, unusual_windows: int, incidents: int) -> None:
        """Tell what the model in use did with a batch.

        Args:
            scored_windows: How many it scored ...
            seconds: ... and how long that took.
            unusual_windows: Those with p < 0.001.
            incidents: Opened.
        """
        figures = scored_windows, seconds, unusual_windows, incidents
        if self._trial is not None:
            self._trial.observe(*figures)
        self._baseline.observe(self._clock(), *figures)
        self._judge()

    def state(self) -> dict[str, object]:
        """How it goes, for status and health."""
        record, progress = self._slots.record, self._intake.progress
        in_use, trial = record.in_use() if self._site.keys else None, self._trial
        return {
            "enabled": bool(self._site.keys),
            "alive": self._worker.is_alive(),
            "slot": record.active if in_use else None,
            "name": in_use.name if in_use else None,
            "version": in_use.version if in_use else None,
            "on_trial": trial is not None,
            "trial_s": round(trial.passed_s(self._clock()), 1) if trial else None,
            "phase": progress.phase,
            "coming_version": progress.version or None,
            "have_bytes": progress.have_bytes,
            "size_bytes": progress.size_bytes,
            "failed_versions": sorted({failure.version for failure in record.failed}),
            "last_error": self._last_error,
            "counters": dict(sorted((self._counters + self._intake.counters).items())),
        }

    def settle(self, timeout_s: float) -> bool:
        """Wait until all that was handed in is done; returns whether that came to be."""
        return self._worker.settle(timeout_s)

    def close(self) -> None:
        """End; what is on its way is gone on with at the next start, and so is a trial."""
        self._intake.stopping = True
        if self._worker.close(_CLOSE_S):
            self._intake.close()
        if self._path is not None and self._site.keys:
            passed_s = self._trial.passed_s(self._clock()) if self._trial else 0.0
            try:
                self._slots.stop(passed_s)
            except OSError as error:
                self._trouble(f"{self._site.folder}: {error.strerror or error}")

    def _started(self) -> Path:
        self._guarded(partial(self._slots.start, self._shipped))
        self._begin_trial()
        return self._slots.path() or self._site.fallback

    def _begin_trial(self) -> None:
        """Go on with the trial that the slots tell of."""
        record = self._slots.record.trial if self._site.keys else None
        self._decide_s = 0.0
        self._trial = None
        if record is not None:
            self._trial = Trial(self._config.trial, record.expected, self._clock(), record.passed_s)

    def _judge(self) -> None:
        """Hand the trial's verdict to the worker; again after a while, should it not have managed."""
        now_s = self._clock()
        if self._slots.record.trial is None:
            self._trial = None
        if self._trial is None or now_s < self._decide_s:
            return
        verdict = self._trial.verdict(now_s)
        if verdict.decision == "wait":
            return
        job = self._intake.confirm
        if verdict.decision == "roll back":
            job = partial(self._intake.roll_back, verdict.why)
        if self._submit(job):
            self._decide_s = now_s + _DECIDE_AGAIN_S

    def _expected(self) -> Expected:
        return self._baseline.expected(self._clock(), self._config.trial)

    def _step(self) -> bool:
        return self._intake.step()

    def _require_keys(self) -> None:
        if not self._site.keys:
            raise InputError(NO_KEYS)

    def _ask(self, job: Callable[[], None]) -> None:
        """Hand in what an operator waits for."""
        if not self._submit(job):
            raise InputError("model updates are busy; ask again")

    def _submit(self, job: Callable[[], None]) -> bool:
        taken = self._worker.submit(job)
        self._counters["dropped"] += not taken
        return taken

    def _refuse(self, why: str) -> None:
        self._counters["refused"] += 1
        self._trouble(why)
        log.warning("%s", why)

    def _trouble(self, why: str) -> None:
        self._counters["troubles"] += 1
        self._last_error = why[:300]

    def _guarded(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            raise InputError(f"{self._site.folder}: {error.strerror or error}") from None

    def _identify_fallback(self) -> Identity | None:
        try:
            return _identity(self._site.fallback, self._site.fallback_keys)
        except EmtcError as error:
            log.warning("fallback bundle: %s", error)
            return None

    def _identify(self, path: Path) -> Identity:
        return _identity(path, self._site.keys)


def _identity(path: Path, keys: Sequence[Path]) -> Identity:
    """What a bundle is, if it can be used at all; raises EmtcError."""
    manifest = load_bundle(path, keys).manifest
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Identity(manifest.name, manifest.version, digest)
