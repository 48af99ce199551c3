"""What a reporter is."""

from __future__ import annotations

from typing import Protocol

from emtc_contract.messages import Alert


class Reporter(Protocol):
    """Takes alerts as they arise."""

    def publish(self, alert: Alert) -> None:
        """Hand over one alert; may raise LinkError."""
        ...
