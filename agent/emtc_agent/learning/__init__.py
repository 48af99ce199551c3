"""Learning on site: a bundle's scores calibrated anew on a site's own benign traffic, and an alarm when it drifts."""

from emtc_agent.learning.drift import Drift, DriftConfig, DriftWatch
from emtc_agent.learning.learner import Learner, LearnFiles, LearningConfig
from emtc_agent.learning.overlay import Overlay, load_overlay, save_overlay
from emtc_agent.learning.report import LearnReport, LearnState
from emtc_agent.learning.suspects import suspects_of

__all__ = [
    "Drift",
    "DriftConfig",
    "DriftWatch",
    "LearnFiles",
    "LearnReport",
    "LearnState",
    "Learner",
    "LearningConfig",
    "Overlay",
    "load_overlay",
    "save_overlay",
    "suspects_of",
]
