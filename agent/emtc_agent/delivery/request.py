"""A message that came from the broker, as it goes to the main loop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """Something asked of this gateway.

    Attributes:
        channel: ``cmd``, ``model`` or ``chunk``.
        argument: The verb of a command, or which chunk.
        payload: As it came: anything.
        reply_to: Topic for the answer, checked to be one of this gateway's own; None if none is wanted.
        correlation: Goes with the answer.
    """

    channel: str
    argument: str
    payload: bytes
    reply_to: str | None = None
    correlation: bytes | None = None
