"""A small model on made-up benign rows, for tests of what surrounds a model."""

from __future__ import annotations

import numpy as np

from emtc_contract.bundle import SourceFile
from emtc_contract.edge_v1 import EDGE_V1
from emtc_trainer.data import Dataset
from emtc_trainer.saved import TrainedModel
from emtc_trainer.training import FitConfig, fit
from rows import benign_rows


def dataset(seed: int, role: str = "train", rows: int = 400) -> Dataset:
    """Benign rows of one pretended file."""
    text = np.full(rows, "", dtype=object)
    return Dataset(
        schema=EDGE_V1,
        features=benign_rows(seed, rows),
        label=text,
        endpoint=text,
        first_us=np.arange(rows, dtype=np.int64),
        last_us=np.arange(rows, dtype=np.int64) + 1,
        file=np.zeros(rows, np.int64),
        files=(SourceFile(name=f"{role}-{seed}.csv", sha256=f"{seed:064x}", rows=rows, role=role),),
    )


def small_model(seed: int = 7, preset: str = "tiny", epochs: int = 3) -> TrainedModel:
    """A model fitted for a few passes."""
    config = FitConfig(preset=preset, epochs=epochs, seed=seed)
    return fit(dataset(1), dataset(2, "calibrate"), config, lambda *_: None, lambda _: None)
