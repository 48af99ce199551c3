"""Taking a model to another site, one step after the other, each built on the one before.

Thresholds; scaling; the density of latent vectors; the last layer; all weights. And a network fitted from scratch
with the same rows and passes: if that does as well, there was nothing to transfer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import torch

from emtc_contract.bundle import Provenance, SourceFile
from emtc_trainer import training
from emtc_trainer.data import Dataset
from emtc_trainer.density import fit_density
from emtc_trainer.model import Detector
from emtc_trainer.optimizing import Losses, Progress, optimize
from emtc_trainer.saved import TrainedModel
from emtc_trainer.training import FitConfig, last_part, set_scaling, set_usual_error

AS_TRAINED, THRESHOLDS, SCALING, DENSITY = "as trained", "thresholds", "scaling", "density"
LAST_LAYER, ALL_WEIGHTS, FROM_SCRATCH = "last layer", "all weights", "from scratch"
STEPS = (AS_TRAINED, THRESHOLDS, SCALING, DENSITY, LAST_LAYER, ALL_WEIGHTS, FROM_SCRATCH)
CALIBRATES = 0.25
"""Share of a site's rows, the latest of each file, that nothing is fitted on: they set the thresholds."""
_VALIDATES = 0.1
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class AdaptConfig(FitConfig):
    """How to adapt; a fine-tuned network is not to run away from what it knew."""

    epochs: int = 20
    patience: int = 5
    learning_rate: float = 3e-4


def steps(
    model: TrainedModel, site: Dataset, config: AdaptConfig, progress: Progress, say: Say
) -> Iterator[tuple[str, TrainedModel]]:
    """The model after each of ``STEPS``.

    Args:
        model: Fitted elsewhere.
        site: Benign rows of the new site.
        config: How to train, where there is training.
        progress: Called after each epoch.
        say: Takes notices.
    """
    torch.manual_seed(config.seed)
    torch.use_deterministic_algorithms(True)
    calibrates = last_part(site, CALIBRATES)
    learn, calibration = site.take(~calibrates), site.take(calibrates)
    yield AS_TRAINED, model

    def calibrated(module: Detector, losses: tuple[Losses, ...] = ()) -> TrainedModel:
        return _recalibrated(model, module, learn, calibration, losses, config, say)

    module = copy.deepcopy(model.module)
    yield THRESHOLDS, calibrated(module)
    module = copy.deepcopy(module)
    set_scaling(module, model.schema, torch.from_numpy(learn.features))
    set_usual_error(module, _shown(module, learn))
    yield SCALING, calibrated(module)
    module = _with_density(copy.deepcopy(module), learn, config)
    yield DENSITY, calibrated(module)
    for name, whole in ((LAST_LAYER, False), (ALL_WEIGHTS, True)):
        module = copy.deepcopy(module)
        losses = _tune(module, learn, config, progress, whole=whole)
        yield name, calibrated(_with_density(module, learn, config), tuple(losses))
    fresh = FitConfig(preset=model.preset, epochs=config.epochs, quantile=config.quantile, seed=config.seed)
    yield FROM_SCRATCH, training.fit(learn, calibration, fresh, progress, say)


def _shown(module: Detector, rows: Dataset) -> torch.Tensor:
    return module.encode(module.transform(torch.from_numpy(rows.features)))


def _with_density(module: Detector, learn: Dataset, config: AdaptConfig) -> Detector:
    latent = set_usual_error(module, _shown(module, learn))
    fit_density(module.density, latent, config.seed)
    return module


def _tune(module: Detector, learn: Dataset, config: AdaptConfig, progress: Progress, *, whole: bool) -> list[Losses]:
    """Train the last layer, or all of them, for a few passes."""
    autoencoder = module.autoencoder
    autoencoder.requires_grad_(whole)
    autoencoder.decoder[-1].requires_grad_(True)
    validates = torch.from_numpy(last_part(learn, _VALIDATES))
    shown = _shown(module, learn)
    losses = optimize(autoencoder, shown[~validates], shown[validates], config, progress)
    autoencoder.requires_grad_(True)
    module.eval()
    return losses


def _recalibrated(
    model: TrainedModel,
    module: Detector,
    learn: Dataset,
    calibration: Dataset,
    losses: tuple[Losses, ...],
    config: AdaptConfig,
    say: Say,
) -> TrainedModel:
    limits = training.calibrate(module, calibration, config, say)
    return replace(
        model,
        module=module,
        quantile=limits.quantile,
        threshold=limits.threshold,
        open_level=limits.open_level,
        calibration=limits.rows,
        usual=training.usual(learn),
        provenance=_provenance(model.provenance, learn.files),
        losses=losses or model.losses,
        metrics=model.metrics
        | {
            "site_rows": float(len(learn)),
            "calibration_rows": float(len(calibration)),
            "site_epochs": float(len(losses)),
        },
    )


def _provenance(before: Provenance, site: tuple[SourceFile, ...]) -> Provenance:
    return msgspec.structs.replace(before, files=(*before.files, *site))


def device_hours(rows: Dataset) -> float:
    """How long the devices of rows were watched, all together."""
    total = 0.0
    for number in np.unique(rows.file):
        mine = rows.file == number
        span_us = float(rows.last_us[mine].max() - rows.first_us[mine].min())
        total += len(set(rows.endpoint[mine].tolist())) * span_us / 3.6e9
    return total
