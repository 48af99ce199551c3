"""Messages that come from the broker, checked, as they go to the main loop."""

from __future__ import annotations

from dataclasses import dataclass

from paho.mqtt.client import MQTTMessage

from emtc_contract.errors import MessageError
from emtc_contract.topics import parse

FURTHER = "further"
_MOST_CORRELATION_BYTES = 256


@dataclass(frozen=True, slots=True)
class Request:
    """Something asked of this gateway.

    Attributes:
        channel: ``cmd``, ``model`` or ``chunk``; ``further`` for a topic that is none of ours.
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


class RequestReader:
    """Makes requests of messages.

    Args:
        client, gateway: Of this gateway.
        further: Topics besides its own.
    """

    def __init__(self, client: str, gateway: str, further: tuple[str, ...] = ()) -> None:
        self._own = client, gateway
        self._further = further

    def __call__(self, message: MQTTMessage) -> Request:
        """The request; raises MessageError for what is not to be answered, or UnicodeDecodeError for such a topic."""
        if message.topic in self._further:
            return Request(FURTHER, message.topic, bytes(message.payload))
        topic = parse(message.topic)
        if message.retain and topic.channel == "cmd":
            raise MessageError("a retained command, which would be carried out at every connection")
        reply_to = getattr(message.properties, "ResponseTopic", None)
        correlation = getattr(message.properties, "CorrelationData", None)
        if correlation and len(correlation) > _MOST_CORRELATION_BYTES:
            raise MessageError(f"correlation data of {len(correlation)} bytes")
        return Request(
            topic.channel,
            topic.argument or "",
            bytes(message.payload),
            self._checked(reply_to) if reply_to else None,
            correlation,
        )

    def _checked(self, reply_to: str) -> str:
        """An answer goes below this gateway's own topics only: a request must not make it write elsewhere."""
        topic = parse(reply_to)
        if (topic.client, topic.gateway, topic.channel) != (*self._own, "reply"):
            raise MessageError(f"answers go to emtc/v1/{'/'.join(self._own)}/reply/... only")
        return reply_to
