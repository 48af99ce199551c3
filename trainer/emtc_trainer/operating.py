"""How much evidence opens an incident: as little as benign traffic allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from emtc_agent.detector.calibration import p_values, table, weights
from emtc_agent.feature_files import Text
from emtc_agent.incidents.evidence import SECOND_US
from emtc_agent.incidents.openings import openings
from emtc_agent.incidents.tracker import IncidentConfig
from emtc_agent.packets import Float64, Int64
from emtc_trainer.data import Dataset

FALSE_PER_DAY = 1.0
"""False incidents per 24 device-hours that calibration allows."""

LEAST_LEVEL = 5.0
_HIGHEST_LEVEL = 1000.0
_STEP = 0.25
_HOUR_US = 3600 * SECOND_US


@dataclass(frozen=True, slots=True)
class Stream:
    """The windows of one endpoint in the order of their ends.

    Attributes:
        times_us: When each ended.
        weights: What each adds to the evidence.
    """

    times_us: list[int]
    weights: list[float]

    def opened(self, level: float, config: IncidentConfig) -> list[int]:
        """When the tracker would open incidents, microseconds."""
        return openings(self.times_us, self.weights, level, config)


def streams(endpoint: Text, last_us: Int64, weight: Float64) -> Iterator[Stream]:
    """The stream of each endpoint among rows of one run."""
    order = np.argsort(last_us, kind="stable")
    for name in dict.fromkeys(endpoint.tolist()):
        mine = order[endpoint[order] == name]
        yield Stream(last_us[mine].tolist(), weight[mine].tolist())


def open_level(calibration: Dataset, scores: Float64, config: IncidentConfig | None = None) -> float:
    """The least level at which calibration rows open no more incidents than ``FALSE_PER_DAY`` allows.

    Args:
        calibration: Benign rows with endpoints and times.
        scores: (N,) their scores.
        config: How evidence is counted.
    """
    config = config or IncidentConfig()
    weight = weights(p_values(scores, table(scores)), config.drift, config.cap)
    found: list[Stream] = []
    device_hours = 0.0
    for number in np.unique(calibration.file):
        mine = calibration.file == number
        endpoint, last_us = calibration.endpoint[mine], calibration.last_us[mine]
        found += streams(endpoint, last_us, weight[mine])
        device_hours += len(set(endpoint.tolist())) * float(last_us.max() - last_us.min()) / _HOUR_US
    return level_for(found, device_hours, config)


def level_for(found: Sequence[Stream], device_hours: float, config: IncidentConfig) -> float:
    """The least level, in steps of 1/4, at which benign streams open no more incidents than allowed."""
    allowed = int(FALSE_PER_DAY * device_hours / 24)
    suspicious = [stream for stream in found if stream.opened(LEAST_LEVEL, config)]
    level = LEAST_LEVEL
    while level < _HIGHEST_LEVEL and sum(len(one.opened(level, config)) for one in suspicious) > allowed:
        level += _STEP
    return level
