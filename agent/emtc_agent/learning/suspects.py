"""Which endpoints a batch gives reason to keep out."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from emtc_agent.addresses import endpoint_text
from emtc_agent.learning.rows import Key
from emtc_agent.windows.windows import Windows
from emtc_contract.messages import Alert


def suspects_of(windows: Windows, alerts: Iterable[Alert], still_open: Collection[Key]) -> frozenset[Key]:
    """Endpoints that had an open incident at any time during a batch.

    Args:
        windows: The batch.
        alerts: What it caused; an incident may open and end within one batch.
        still_open: Endpoints with an open incident after the batch, told or not.
    """
    told = {alert.endpoint.id for alert in alerts}
    if not told:
        return frozenset(still_open)
    keys = set(zip(windows.kind.tolist(), windows.id_hi.tolist(), windows.id_lo.tolist(), strict=True))
    return frozenset(still_open) | {key for key in keys if endpoint_text(*key) in told}
