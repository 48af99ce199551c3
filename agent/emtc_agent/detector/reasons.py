"""Why a window scored high: the features that carry the error, with what is usual for them."""

from __future__ import annotations

import numpy as np

from emtc_agent.detector.bundle import Bundle
from emtc_agent.packets import Float32, Float64
from emtc_contract.messages import Reason

TOP = 5
_LEAST_SHARE = 0.02


def explain(features: Float64, errors: Float32, bundle: Bundle, top: int = TOP) -> tuple[Reason, ...]:
    """The strongest reasons of one window, largest share of the error first.

    Args:
        features: (F,) raw features.
        errors: (F,) the part of each feature in the score.
        bundle: Usual ranges.
        top: Most reasons given. A usual value that does not go with the others weighs, too, but says little to
            people: it is told only if no feature lies outside its usual range.
    """
    total = float(errors.sum()) or 1.0
    reasons = []
    for column in np.argsort(-errors, kind="stable")[: 2 * top].tolist():
        name = bundle.schema.columns[column]
        usual = bundle.manifest.usual[name]
        share = min(max(float(errors[column]) / total, 0.0), 1.0)
        reasons.append(
            Reason(
                feature=name,
                value=round(float(features[column]), 6),
                usual_low=usual.low,
                usual_high=usual.high,
                share=round(share, 4),
            )
        )
    weighty = [reason for reason in reasons if reason.share >= _LEAST_SHARE]
    outside = [reason for reason in weighty if not reason.usual_low <= reason.value <= reason.usual_high]
    return tuple(outside or weighty)[:top]
