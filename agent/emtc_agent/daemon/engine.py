"""From packets to alerts with all that may change meanwhile: the model, what was learned on site, the rules."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from emtc_agent.assembling import assemble
from emtc_agent.detector import Bundle, Runtime, Scored
from emtc_agent.features import EdgeConfig
from emtc_agent.incidents import IncidentConfig
from emtc_agent.incidents.record import IncidentRecord
from emtc_agent.incidents.suppression import Suppression
from emtc_agent.learning import Learner, LearnFiles, LearningConfig, LearnReport
from emtc_agent.learning.device_key import DeviceKey
from emtc_agent.learning.drift import Drift, DriftWatch
from emtc_agent.learning.overlay import load_overlay
from emtc_agent.learning.probe import read_probe
from emtc_agent.learning.rows import Rows
from emtc_agent.learning.sample import SampleFile
from emtc_agent.packets import PacketBatch
from emtc_agent.windows.windows import Windows
from emtc_contract.errors import EmtcError, InputError
from emtc_contract.messages import Alert, Info

_LOG = logging.getLogger(__name__)
_UNUSUAL_P = 0.001
_CLOSE_S = 5.0


@dataclass(frozen=True, slots=True)
class ModelInUse:
    """A bundle, opened.

    Attributes:
        path: Its file.
        bundle: Its content.
        runtime: What runs its model.
    """

    path: Path
    bundle: Bundle
    runtime: Runtime


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How to judge.

    Attributes:
        edge: Extraction.
        incidents: The tracker's rules.
        learning: Learning on site.
    """

    edge: EdgeConfig = field(default_factory=EdgeConfig)
    incidents: IncidentConfig = field(default_factory=IncidentConfig)
    learning: LearningConfig = field(default_factory=LearningConfig)


@dataclass(slots=True)
class Figures:
    """What the model in use did since it was asked last."""

    windows: int = 0
    seconds: float = 0.0
    unusual: int = 0
    incidents: int = 0


class Engine:
    """Judges packets; for the main loop's thread only.

    Args:
        model: To begin with.
        config: How to judge.
        boot: Id of this run.
        suppression: What is not told; may change.
        files: Where learning keeps what; None learns nothing.
        interfaces: As told in ``info``.

    Attributes:
        pipeline: Extraction, scoring and incidents.
        info: What runs here.
        figures: Of the model; take them with ``take_figures``.
        drift: The alarm that is on, if there is one.
        report: Of the last learning.
    """

    def __init__(
        self,
        model: ModelInUse,
        config: EngineConfig,
        boot: str,
        suppression: Suppression,
        files: LearnFiles | None,
        interfaces: tuple[str, ...] = (),
    ) -> None:
        self.figures = Figures()
        self.drift: Drift | None = None
        self.report: LearnReport | None = None
        self._config, self._boot, self._suppression, self._files = config, boot, suppression, files
        self._interfaces = interfaces
        self._opened = 0
        self._now_us = 0
        self._sample: SampleFile | None = None
        self._use(model)

    def _use(self, model: ModelInUse) -> None:
        """Build everything that depends on the model."""
        self.model = model
        pipeline, info = assemble(
            model.bundle, model.runtime, self._config.edge, self._boot, self._config.incidents, self._suppression
        )
        self.pipeline = pipeline
        self.info: Info = msgspec.structs.replace(info, interfaces=self._interfaces)
        self.learner = self._make_learner(model)
        self._watch = DriftWatch(model.bundle.schema.columns)
        self.drift = None
        self.use_learned()
        pipeline.observers.append(self._observe)

    def _make_learner(self, model: ModelInUse) -> Learner | None:
        if self._files is None:
            return None
        try:
            return Learner(
                self._files,
                model.bundle,
                model.runtime.artifact,
                self._config.learning,
                probe=partial(read_probe, model.path, model.runtime, len(model.bundle.schema.columns)),
                on_end=self._keep_sample,
            )
        except EmtcError as error:
            _LOG.error("this gateway cannot learn: %s", error)
            return None

    def _keep_sample(self, rows: Rows) -> None:
        """Learning ends: the trainer can use what it was learned from."""
        path = self._files.sample if self._files else None
        if path is not None:
            self._sample = self._sample or SampleFile(path, self.model.bundle.schema)
            self._sample.write(rows)

    def switch(self, model: ModelInUse) -> None:
        """Go over to another model between two batches: endpoints, their peers, open incidents and counters stay."""
        before = self.pipeline
        records, shift_us = before.tracker.records(), before.tracker.teller.shift_us
        extractor = before.take_extractor()
        if self.learner is not None:
            self.learner.cancel()  # what it holds was scored by the other model
        self._use(model)
        self._opened = 0
        self.pipeline.go_on_with(extractor)
        self.pipeline.extracted, self.pipeline.scored = before.extracted, before.scored
        self.pipeline.tracker.restore(records, self._now_us)
        self.pipeline.tracker.teller.shift_us = shift_us
        _LOG.info("model: %s version %d", model.bundle.manifest.name, model.bundle.manifest.version)

    def change_incidents(self, config: IncidentConfig) -> None:
        """Go by other rules from now on, with this model and the next."""
        learning = replace(self._config.learning, incidents=config)
        self._config = replace(self._config, incidents=config, learning=learning)
        self.pipeline.tracker.change(config)

    def restore(self, records: list[IncidentRecord], now_us: int) -> None:
        """Go on with the incidents of an earlier run."""
        self.pipeline.tracker.restore(records, now_us)

    def push(self, batch: PacketBatch) -> list[Alert]:
        """Take packets; returns the alerts they cause."""
        return self.pipeline.push(batch)

    def tick(self, now_us: int, shift_us: int) -> list[Alert]:
        """Let time pass; ``shift_us`` makes wall-clock time of it."""
        self.pipeline.tracker.teller.shift_us = shift_us
        self._now_us = now_us
        alerts = self.pipeline.tick(now_us)
        self._note(self._watch.tick(now_us))
        if self.learner is not None:
            report = self.learner.tick(now_us)
            if report is not None:
                self._learned(report)
        return alerts

    def _learned(self, report: LearnReport) -> None:
        self.report = report
        _LOG.info("learning ended: %s", "an overlay was written" if report.learned else report.reason)
        if report.learned:
            self.use_learned()

    def use_learned(self) -> None:
        """Score with what was learned on site, if there is anything and it fits the model in use."""
        site = None
        if self._files is not None and self._files.overlay.exists():
            model = self.model
            try:
                overlay = load_overlay(
                    self._files.overlay, DeviceKey(self._files.key), model.bundle, model.runtime.artifact
                )
                site = overlay.recalibration(model.bundle.schema.columns)
            except EmtcError as error:
                _LOG.warning("what was learned on site is not used: %s", error)
        self.pipeline.scorer.use(site)
        self.pipeline.tracker.teller.threshold = self.pipeline.scorer.threshold
        self._watch.restart()
        self.drift = None
        if self.learner is not None:
            self.learner.in_use = site

    def forget_learned(self) -> bool:
        """Drop what was learned on site and the windows it was learned from; returns whether there was anything.

        Raises:
            InputError: They cannot be removed; those that can are.
        """
        files = self._files
        held = [path for path in (files.overlay, files.sample) if path and path.exists()] if files else []
        try:
            for path in held:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"what was learned cannot be removed: {error.filename}: {error.strerror}") from None
        finally:
            self.use_learned()
        return bool(held)

    def close(self) -> None:
        """End what is still being written."""
        if self._sample is not None:
            self._sample.wait(_CLOSE_S)

    def take_figures(self) -> Figures:
        """What the model did since the last call."""
        taken, self.figures = self.figures, Figures()
        taken.incidents, self._opened = self.pipeline.tracker.opened - self._opened, self.pipeline.tracker.opened
        return taken

    def _observe(self, windows: Windows, scored: Scored, seconds: float) -> None:
        figures = self.figures
        figures.windows += len(scored.index)
        figures.seconds += seconds
        figures.unusual += int(np.count_nonzero(scored.p_value < _UNUSUAL_P))
        suspects = self.pipeline.tracker.open_keys
        if self.learner is not None:
            self.learner.observe(windows, scored, suspects)
        self._note(self._watch.observe(windows, scored, suspects))

    def _note(self, alarm: Drift | None) -> None:
        if alarm is not None:
            _LOG.warning(
                "drift: unusual windows are %.1f times as frequent as calibrated; %s",
                alarm.ratio,
                ", ".join(alarm.features),
            )
            self.drift = alarm
        elif not self._watch.drifting:
            self.drift = None
