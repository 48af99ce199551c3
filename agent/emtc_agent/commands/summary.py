"""What a replay or a live run did, in numbers."""

from __future__ import annotations

from emtc_agent.pipeline import Pipeline


def summarize(pipeline: Pipeline, losses: dict[str, int], elapsed_s: float) -> dict[str, int | float]:
    """What a replay or a live run did, in numbers, in the order in which to show them.

    Args:
        pipeline: After its end.
        losses: What the source could not give, by what to call it.
        elapsed_s: How long it took.
    """
    extracted = pipeline.extracted
    return {
        "packets": extracted.packets,
        **losses,
        **{f"other: {reason}".replace("_", " "): number for reason, number in sorted(extracted.other.items())},
        "without endpoint": extracted.unattributed,
        "time jumps": extracted.time_jumps,
        "endpoints": extracted.endpoints,
        "endpoints forgotten": extracted.evicted,
        "packets of endpoints without room": extracted.spilled,
        "peers without room": extracted.peers_spilled,
        "windows": extracted.windows,
        "scored": pipeline.scored,
        "not scored": pipeline.scorer.skipped,
        "incidents": pipeline.tracker.opened,
        "seconds": round(elapsed_s, 3),
        "packets/s": round(extracted.packets / max(elapsed_s, 1e-9)),
    }
