"""From alerts to a subscriber, over a link that fails and is paid for: messages, pace, budget, MQTT session."""

from emtc_agent.delivery.link import Link, LinkConfig
from emtc_agent.delivery.request import Request

__all__ = ["Link", "LinkConfig", "Request"]
