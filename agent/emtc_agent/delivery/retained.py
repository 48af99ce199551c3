"""Messages that the broker keeps for later subscribers: told when they change, and again on each connection."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kept:
    """What the broker keeps of a topic.

    Attributes:
        payload: Empty to take it away.
        expiry_s: For how long; None for ever.
        minor: Whether alerts go first, and it is not told at all when the link's budget runs out.
    """

    payload: bytes
    expiry_s: int | None = None
    minor: bool = False


class Retained:
    """The latest message of each topic; for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, Kept] = {}
        self._untold: dict[bool, dict[str, None]] = {False: {}, True: {}}  # by minor, topics in order

    def set(self, topic: str, kept: Kept) -> bool:
        """Keep a message, or forget it if it is empty; returns whether there is something to tell."""
        with self._lock:
            if self._kept.get(topic) == kept:
                return False
            untold = self._untold[kept.minor]
            if not kept.payload and (topic not in self._kept or topic in untold):
                self._kept.pop(topic, None)  # nobody has been told, so there is nothing to take back
                untold.pop(topic, None)
                return False
            self._kept[topic] = kept
            untold[topic] = None
            return True

    def tell_again(self, topics: Iterable[str] | None = None) -> None:
        """These, or with None all, have to be told once more."""
        with self._lock:
            for topic in self._kept if topics is None else topics:
                if topic in self._kept:
                    self._untold[self._kept[topic].minor][topic] = None

    def take(self, *, minor: bool) -> tuple[str, Kept] | None:
        """The next to be told of a kind."""
        with self._lock:
            topic = next(iter(self._untold[minor]), None)
            if topic is None:
                return None
            del self._untold[minor][topic]
            kept = self._kept[topic]
            if not kept.payload:
                del self._kept[topic]
            return topic, kept

    def payloads(self) -> dict[str, bytes]:
        """All that is kept, by topic."""
        with self._lock:
            return {topic: kept.payload for topic, kept in self._kept.items()}

    def untold(self, *, minor: bool) -> list[str]:
        """Topics to be told, in order."""
        with self._lock:
            return list(self._untold[minor])
