"""Which model is in use: the shipped or configured one, or one that came as an update and is on trial."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from emtc_agent.assembling import shipped_bundle
from emtc_agent.daemon.engine import Engine, ModelInUse
from emtc_agent.daemon.parts import Place
from emtc_agent.detector import load_bundle, open_runtime
from emtc_agent.settings import Settings
from emtc_contract.errors import BundleError, SchemaError

if TYPE_CHECKING:
    from emtc_agent.updates import Updater

_LOG = logging.getLogger(__name__)
_FIGURES_EVERY_S = 5.0


class Models:
    """Opens models, and looks after updates.

    Args:
        settings: Sections model and updates.
        place: Where files named in them are.
        state: State folder; without one there are no updates.

    Attributes:
        updater: Takes updates; None where they are off.
    """

    def __init__(self, settings: Settings, place: Place, state: Path | None) -> None:
        chosen = settings.model
        self._how = chosen.runtime, chosen.precision, chosen.threads
        self._keys = tuple(place.find(name) for name in chosen.keys)
        self._configured = None if chosen.bundle is None else place.find(chosen.bundle)
        self._figures_s = 0.0
        self.updater: Updater | None = None
        if state is not None and self._keys and settings.updates.enabled:
            from emtc_agent.updates import UpdateConfig, Updater  # 4 MB that others do not need
            from emtc_agent.updates.trial import TrialConfig

            self.updater = Updater(
                state / "models",
                self._fallback,
                self._keys,
                runtime=chosen.runtime,
                precision=chosen.precision,
                threads=chosen.threads,
                fallback_keys=self._fallback_keys,
                config=UpdateConfig(trial=TrialConfig(trial_s=settings.updates.trial_s)),
            )

    @property
    def _fallback(self) -> Path:
        return self._configured or shipped_bundle()

    @property
    def _fallback_keys(self) -> tuple[Path, ...]:
        """The shipped bundle is vouched for by the package it came in."""
        return self._keys if self._configured else ()

    def first(self) -> ModelInUse:
        """The model to begin with."""
        if self.updater is None:
            return self._open(self._fallback)
        path = self.updater.bundle_path()
        while path != self._fallback:
            try:
                return self._open(path)
            except (BundleError, SchemaError) as error:
                _LOG.error("model: %s", error)
                path = self.updater.rejected(str(error))
        return self._open(path)

    def turn(self, engine: Engine) -> bool:
        """Between batches: tell the updater how the model does, and switch if that is due; returns whether it was."""
        if self.updater is None:
            return False
        if time.monotonic() >= self._figures_s:
            self._figures_s = time.monotonic() + _FIGURES_EVERY_S
            figures = engine.take_figures()
            self.updater.observe(figures.windows, figures.seconds, figures.unusual, figures.incidents)
        switch = self.updater.poll()
        if switch is None:
            return False
        _LOG.warning("model: %s%s", switch.kind, f": {switch.why}" if switch.why else "")
        engine.switch(ModelInUse(switch.path, switch.bundle, switch.runtime))
        engine.take_figures()  # those of the model before
        return True

    def close(self) -> None:
        """End the updater's thread."""
        if self.updater is not None:
            self.updater.close()

    def _open(self, path: Path) -> ModelInUse:
        bundle = load_bundle(path, self._fallback_keys if path == self._fallback else self._keys)
        runtime = open_runtime(bundle, *self._how)
        return ModelInUse(path, replace(bundle, models={}), runtime)  # the runtime has what it needs of them
