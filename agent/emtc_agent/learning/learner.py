"""Learning on site from start to overlay; the daemon and ``emtc-agent learn`` alike.

Time is what ``tick`` is told, and only its steps count: a clock that is set, or hours without power, are no learning.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from emtc_agent.addresses import time_text
from emtc_agent.detector import Bundle, Scored
from emtc_agent.detector.calibration import Recalibration
from emtc_agent.incidents.evidence import SECOND_US
from emtc_agent.incidents.tracker import IncidentConfig
from emtc_agent.learning import snapshot
from emtc_agent.learning.device_key import DeviceKey
from emtc_agent.learning.overlay import FORMAT, SUFFIX, Overlay, save_overlay
from emtc_agent.learning.probe import Probe
from emtc_agent.learning.quarantine import FAMILIES, Quarantine, QuarantineConfig
from emtc_agent.learning.recalibrating import Outcome, RecalibrationConfig, recalibrate
from emtc_agent.learning.report import LearnReport, LearnState, by_reason, most
from emtc_agent.learning.reservoir import Reservoir
from emtc_agent.learning.rows import Key, Rows, rows_of
from emtc_agent.learning.trial import Judge, Trial, device_hours
from emtc_agent.windows.windows import Windows
from emtc_contract.bundle import Artifact
from emtc_contract.errors import InputError

_log = logging.getLogger(__name__)
_LIGHTER_TOLD = 8


@dataclass(frozen=True, slots=True)
class LearningConfig:
    """How to learn.

    Attributes:
        capacity: Most windows in the sample, and again in the trial.
        endpoint_share: Most of the sample that one endpoint may have.
        quarantine: What is kept out.
        recalibration: What is made of the sample.
        incidents: The tracker's rules.
        snapshot_every_s: Time between two snapshots (7 MB each when all is full).
        longest_step_s: Most that one ``tick`` lets pass.
    """

    capacity: int = 8_192
    endpoint_share: float = 0.25
    quarantine: QuarantineConfig = field(default_factory=QuarantineConfig)
    recalibration: RecalibrationConfig = field(default_factory=RecalibrationConfig)
    incidents: IncidentConfig = field(default_factory=IncidentConfig)
    snapshot_every_s: float = 600.0
    longest_step_s: float = 60.0


@dataclass(frozen=True, slots=True)
class LearnFiles:
    """Where learning keeps what.

    Attributes:
        overlay: What was learned.
        key: The device's key; made when missing.
        snapshot: Learning that has not ended; None to forget it with the program.
        sample: The windows it was learned from, as a feature file; None to keep none.
    """

    overlay: Path
    key: Path
    snapshot: Path | None = None
    sample: Path | None = None

    @classmethod
    def inside(cls, folder: Path) -> LearnFiles:
        """The daemon's, in its state folder."""
        return cls(*(folder / name for name in (f"site{SUFFIX}", "device.key", "learning.state", "learned.csv")))


@dataclass(slots=True)
class _Run:
    """A time of learning."""

    trusted: bool
    accepted: tuple[str, ...]
    seconds: float
    reservoir: Reservoir
    trial: Trial
    quarantine: Quarantine
    elapsed_s: float = 0.0
    saved_s: float = 0.0
    seen: int = 0
    told_us: int | None = None  # the last tick


class Learner:
    """Learns when told to, and goes on after a restart.

    Args:
        files: Where it keeps what.
        bundle: In use.
        artifact: Its model in use.
        config: How to learn.
        seed: Decides which windows are sampled.
        in_use: The overlay that windows are scored with; None for the bundle's own calibration. Keep it up to date.
        probe: Reads made-up attacks, of which an overlay must see enough (``read_probe``); None does not ask.
        on_end: Told the sample, if it is not empty, when learning ends, whatever comes of it.

    Raises:
        InputError: The device key cannot be made or read.
    """

    def __init__(
        self,
        files: LearnFiles,
        bundle: Bundle,
        artifact: Artifact,
        config: LearningConfig | None = None,
        seed: int = 0,
        in_use: Recalibration | None = None,
        probe: Callable[[], Probe] | None = None,
        on_end: Callable[[Rows], None] | None = None,
    ) -> None:
        self.in_use = in_use
        self._files = files
        self._bundle = bundle
        self._artifact = artifact
        self._probe = probe
        self._on_end = on_end
        self._config = config or LearningConfig()
        self._seed = seed
        self._key = DeviceKey.made(files.key)
        self._last: LearnReport | None = None
        self._run = self._resumed()

    @property
    def active(self) -> bool:
        """Whether learning goes on."""
        return self._run is not None

    def start(
        self, now_us: int | None, seconds: float, *, trusted: bool = False, accepted: Collection[str] = ()
    ) -> None:
        """Begin to learn, for so long; what was begun before is dropped.

        Args:
            now_us: Time now; None for what the first ``tick`` will tell.
            seconds: How long; a quarter of it is the trial.
            trusted: The operator knows the traffic of this time to be benign, odd as it may look.
            accepted: Families of attack (``flood``, ``recon``, ...) that it looks like all the same.

        Raises:
            InputError: No such family; or a bundle without made-up attacks.
        """
        if self._probe:
            self._probe()  # to be told now, not when learning ends
        unknown = set(accepted) - set(FAMILIES)
        if unknown:
            raise InputError(f"no family of attack is called {min(unknown)!r}; there are {', '.join(FAMILIES)}")
        self._run = self._new_run(seconds, trusted=trusted, accepted=tuple(accepted))
        self._run.told_us = now_us
        self._save(self._run)

    def pause(self) -> None:
        """Let no time pass until the next ``tick``."""
        if self._run is not None:
            self._run.told_us = None

    def cancel(self) -> None:
        """Drop what was begun; the overlay in use stays."""
        self._run = None
        if self._files.snapshot:
            snapshot.forget(self._files.snapshot)

    def observe(self, windows: Windows, scored: Scored, suspects: Collection[Key]) -> None:
        """Take in a batch, after the incident tracker did.

        Args:
            windows: The batch.
            scored: Its scored windows.
            suspects: Endpoints with an open incident, told or not.
        """
        run = self._run
        if run is None or not len(scored.index):
            return
        rows = rows_of(windows, scored, run.seen, self.in_use)
        run.seen += len(rows)
        run.trial.add(rows)
        admitted, leave = run.quarantine.admit(windows, scored, suspects)
        if leave:
            run.quarantine.tally.refused["incident"] += run.reservoir.retract(leave)
        run.reservoir.offer(rows if admitted.all() else rows.take(admitted))

    def tick(self, now_us: int) -> LearnReport | None:
        """Let time pass, at least once a minute; returns the report when learning ends."""
        run = self._run
        if run is None:
            return None
        if run.told_us is not None:
            run.elapsed_s += min(max(now_us - run.told_us, 0) / SECOND_US, self._config.longest_step_s)
        run.told_us = now_us
        if run.elapsed_s >= run.seconds:
            return self.finish(now_us)
        if run.elapsed_s - run.saved_s >= self._config.snapshot_every_s:
            self._save(run)
        return None

    def finish(self, now_us: int) -> LearnReport | None:
        """End now: make the overlay of what there is, and judge it; None if nothing was begun."""
        run = self._run
        if run is None:
            return None
        if self._on_end is not None and len(run.reservoir):
            self._on_end(run.reservoir.rows())
        trial = self._trial(run)
        try:
            sample, settings = run.reservoir.rows(), self._config.recalibration
            probe = self._probe() if self._probe else None
            outcome = recalibrate(sample, trial, self._judge(), self._present(), probe, settings)
            report = self._concluded(run, trial, outcome, now_us)
        except InputError as error:
            report = self._report(run, trial, _hint(str(error), run))
        self._last = report
        self.cancel()
        return report

    def sampled(self) -> Rows:
        """The windows learned so far, in order; raises InputError if nothing was begun."""
        if self._run is None:
            raise InputError("nothing is being learned")
        return self._run.reservoir.rows()

    def state(self) -> LearnState:
        """How learning stands."""
        run = self._run
        if run is None:
            return LearnState(active=False, last=self._last)
        return LearnState(
            active=True,
            trusted=run.trusted,
            elapsed_s=round(run.elapsed_s, 1),
            seconds=run.seconds,
            seen=run.seen,
            sampled=len(run.reservoir),
            refused=by_reason(run.quarantine.tally),
            last=self._last,
        )

    def _judge(self) -> Judge:
        level = self._config.incidents.open_level
        return Judge(self._bundle.manifest.open_level if level is None else level, self._config.incidents)

    def _present(self) -> Recalibration:
        """What is in use; the bundle's own calibration in the same form."""
        one, columns = self._artifact, len(self._bundle.schema.columns)
        own = Recalibration(np.ones(columns, np.float32), one.threshold, one.calibration_scores, one.calibration_p)
        return self.in_use or own

    def _trial(self, run: _Run) -> Rows:
        return run.trial.rows(int(run.seen * (1 - self._config.recalibration.trial_share)))

    def _concluded(self, run: _Run, trial: Rows, outcome: Outcome, now_us: int) -> LearnReport:
        """Write the overlay, unless it makes things worse."""
        columns = self._bundle.schema.columns
        weights = dict(zip(columns, outcome.site.weights.tolist(), strict=True))
        lighter = {name: one for name, one in sorted(weights.items(), key=lambda item: item[1]) if one < 1}
        worse = self._harm(outcome, device_hours(trial) / 24)
        report = self._report(run, trial, worse, outcome, lighter)
        if worse:
            return report
        manifest = self._bundle.manifest
        overlay = Overlay(
            format=FORMAT,
            bundle=manifest.name,
            bundle_version=manifest.version,
            model_sha256=self._artifact.sha256,
            schema_digest=manifest.schema_digest,
            learned=time_text(now_us),
            seconds=round(run.elapsed_s, 1),
            windows=report.sampled,
            endpoints=report.endpoints,
            trusted=run.trusted,
            threshold=outcome.site.threshold,
            scores=outcome.site.scores,
            shares=outcome.site.shares,
            weights=lighter,
            before=outcome.before,
            after=outcome.after,
        )
        save_overlay(self._files.overlay, overlay, self._key)
        return report

    def _harm(self, outcome: Outcome, device_days: float) -> str:
        """Why an overlay would do harm; empty if it would not."""
        before, after = outcome.before, outcome.after
        if after.incidents > before.incidents and after.incidents > device_days:
            return f"it would open {after.incidents} incidents where {before.incidents} opened before"
        seen, still = before.attacks_seen or 0.0, after.attacks_seen or 0.0
        if still < seen * self._config.recalibration.least_seen:
            return (
                f"it would see {still:.0%} of made-up attacks instead of {seen:.0%}: this traffic is too odd for "
                f"{self._bundle.manifest.name}, train one on it (--export)"
            )
        return ""

    def _report(
        self,
        run: _Run,
        trial: Rows,
        reason: str,
        outcome: Outcome | None = None,
        lighter: dict[str, float] | None = None,
    ) -> LearnReport:
        sample, tally = run.reservoir.rows(), run.quarantine.tally
        return LearnReport(
            learned=not reason,
            reason=reason,
            trusted=run.trusted,
            seconds=round(run.elapsed_s, 1),
            seen=run.seen,
            sampled=len(sample),
            endpoints=len(sample.by_endpoint()),
            refused=by_reason(tally),
            refused_of=most(tally.refused_of),
            odd_of=most(tally.odd_of),
            trial_windows=len(trial),
            trial_device_hours=round(device_hours(trial), 4),
            before=outcome.before if outcome else None,
            after=outcome.after if outcome else None,
            lighter=dict(list((lighter or {}).items())[:_LIGHTER_TOLD]),
        )

    def _new_run(self, seconds: float, *, trusted: bool, accepted: tuple[str, ...]) -> _Run:
        columns, config = self._bundle.schema.columns, self._config
        return _Run(
            trusted=trusted,
            accepted=accepted,
            seconds=seconds,
            reservoir=Reservoir(len(columns), config.capacity, config.endpoint_share, self._seed),
            trial=Trial(len(columns), config.capacity),
            quarantine=Quarantine(columns, trusted=trusted, accepted=accepted, config=config.quarantine),
        )

    def _save(self, run: _Run) -> None:
        """Write a snapshot; a full disk costs the snapshot only."""
        path = self._files.snapshot
        if path is None:
            return
        run.saved_s = run.elapsed_s
        sample, draw = run.reservoir.dump()
        tally = run.quarantine.tally
        progress = snapshot.Progress(
            format=snapshot.FORMAT,
            model_sha256=self._artifact.sha256,
            trusted=run.trusted,
            accepted=run.accepted,
            elapsed_s=run.elapsed_s,
            seconds=run.seconds,
            seen=run.seen,
            offered=run.reservoir.offered,
            barred=list(run.quarantine.barred().items()),
            refused=dict(tally.refused),
            refused_of=list(tally.refused_of.items()),
            odd_of=list(tally.odd_of.items()),
        )
        try:
            snapshot.save(path, snapshot.Snapshot(progress, sample, draw, run.trial.rows()), self._key)
        except OSError as error:
            _log.warning("%s: %s; a restart would lose what was learned", path, error.strerror)

    def _resumed(self) -> _Run | None:
        """Learning that had not ended, if its snapshot is good and of the model in use."""
        path = self._files.snapshot
        if path is None or not path.exists():
            return None
        try:
            held = snapshot.load(path, self._key, self._artifact.sha256)
        except InputError as error:
            _log.warning("learning cannot go on: %s", error)
            snapshot.forget(path)
            return None
        progress = held.progress
        run = self._new_run(progress.seconds, trusted=progress.trusted, accepted=progress.accepted)
        run.reservoir.load(held.sample, held.draw, progress.offered)
        run.trial.load(held.trial)
        run.quarantine.bar_again(dict(progress.barred), progress.tally())
        run.seen, run.elapsed_s, run.saved_s = progress.seen, progress.elapsed_s, progress.elapsed_s
        return run


def _hint(reason: str, run: _Run) -> str:
    refused = run.quarantine.tally.refused.total()
    if run.trusted or refused * 2 < max(run.seen, 1):
        return reason
    return f"{reason}; {refused} of {run.seen} windows are too odd to be learned: trust the site if it is benign"
