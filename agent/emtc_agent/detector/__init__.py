"""Scoring: the bundle, the runtime that runs its model, calibrated scores, and reasons."""

from emtc_agent.detector.bundle import Bundle, load_bundle, read_member
from emtc_agent.detector.reasons import explain
from emtc_agent.detector.runtimes import RUNTIMES, Runtime, open_runtime
from emtc_agent.detector.scoring import Scored, Scorer

__all__ = [
    "RUNTIMES",
    "Bundle",
    "Runtime",
    "Scored",
    "Scorer",
    "explain",
    "load_bundle",
    "open_runtime",
    "read_member",
]
