"""The link to the broker: a thread that connects, sends what the outbox holds, and takes requests.

It never gives up: refused or unreachable, it waits longer each time and tells why. Nothing here blocks the capture.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from paho.mqtt.client import MQTTMessage

from emtc_agent.addresses import time_text
from emtc_agent.delivery.backoff import Backoff
from emtc_agent.delivery.pacing import Pace
from emtc_agent.delivery.request import Request, RequestReader
from emtc_agent.delivery.retained import Kept, Retained
from emtc_agent.delivery.session import Session, Will
from emtc_agent.delivery.traffic import Level, Traffic
from emtc_agent.report.broker import BrokerUrl
from emtc_agent.report.credentials import Credentials
from emtc_agent.store import Outbox, Queued
from emtc_contract.commands import Answer, encode_answer
from emtc_contract.errors import EmtcError, MessageError
from emtc_contract.messages import Status, encode
from emtc_contract.topics import build, subscription

_LOG = logging.getLogger(__name__)
_MOST_REQUESTS = 64
_MOST_REPLIES = 256
_GOODBYE_S = 5.0
_SAY_S = 1.0
_MEASURE_EVERY_S = 10.0
_REFUSED_WAIT_S = 60.0
_ATTEMPT_BYTES = 6_000  # about what TLS takes before a broker refuses
_LONGEST_EXPIRY_S = 2**32 - 2
Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """How to reach the broker.

    Attributes:
        url: Broker.
        client, gateway: Parts of the topics.
        boot: Id of this run.
        credentials: Certificates and password.
        keepalive_s: Longest silence.
        retry_at_most_every_s: Longest pause between attempts.
        messages_per_s: Rate of sending, after the first ``burst``.
        burst: So many go at once.
        spread_s: After a loss, what waits is held back for a random part of this.
        further: Further topics to listen to.
    """

    url: BrokerUrl
    client: str
    gateway: str
    boot: str
    credentials: Credentials = field(default_factory=Credentials)
    keepalive_s: int = 900
    retry_at_most_every_s: float = 300.0
    messages_per_s: float = 20.0
    burst: int = 50
    spread_s: float = 5.0
    further: tuple[str, ...] = ()


class Link(threading.Thread):
    """The thread; start it, ``stop`` it.

    Args:
        config: How to reach the broker.
        outbox: What to send.
        traffic: Counts what is carried, and says what may go.
        on_request: Called from this thread when a request has come.

    Attributes:
        requests: What was asked of this gateway, for the main loop.
        connections: Sessions so far.
        refused: Messages that the broker refused.
        overrun: Requests that came faster than they were handled.
        reason: Why there is no session now; empty if there is one.
        pair: Own and the broker's address of the present session.
        turned_s: When the thread last made a turn (monotonic).
    """

    def __init__(
        self,
        config: LinkConfig,
        outbox: Outbox,
        traffic: Traffic,
        on_request: Callable[[], None] = lambda: None,
        rng: random.Random | None = None,
    ) -> None:
        super().__init__(name="link", daemon=True)
        self.requests: queue.Queue[Request] = queue.Queue(_MOST_REQUESTS)
        self.connections = self.refused = self.overrun = 0
        self.reason = "not connected yet"
        self.pair: tuple[Address, Address] | None = None
        self._config, self._outbox, self._traffic, self._on_request = config, outbox, traffic, on_request
        self._rng = rng or random.SystemRandom()
        self._status_topic = build(config.client, config.gateway, "status")
        self.retained = Retained()
        self._read_request = RequestReader(config.client, config.gateway, config.further)
        self.turned_s = time.monotonic()
        self._retry_refused_s = 0.0
        self._replies: queue.Queue[tuple[str, bytes, bytes | None]] = queue.Queue(_MOST_REPLIES)
        self._wanted: frozenset[str] = frozenset()
        self._subscribed: frozenset[str] = frozenset()
        self._sent: dict[int, int] = {}  # message id -> number in the outbox
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopping = threading.Event()
        self._hold_until_s = 0.0
        self._measured_bytes = 0

    # For other threads.

    @property
    def connected(self) -> bool:
        """Whether there is a session."""
        return self.pair is not None

    def nudge(self) -> None:
        """There is something to send."""
        os.eventfd_write(self._wake, 1)

    def retain(
        self, topic: str, payload: bytes | None, expiry_s: float | None = None, *, minor: bool = False
    ) -> None:
        """Tell a retained message, now and on each connection; None takes it off the broker and forgets it.

        Args:
            topic: Where.
            payload: What.
            expiry_s: How long the broker shall keep it.
            minor: Whether alerts go first, and it is not told at all when the link's budget runs out.
        """
        kept = Kept(payload or b"", None if expiry_s is None else max(int(expiry_s), 1), minor)
        if self.retained.set(topic, kept):
            self.nudge()

    def retell(self, topics: Iterable[str]) -> None:
        """Tell retained messages once more."""
        self.retained.tell_again(topics)
        self.nudge()

    def reply(self, request: Request, payload: bytes) -> None:
        """Answer a request, if it wants one."""
        if request.reply_to is None:
            return
        try:
            self._replies.put_nowait((request.reply_to, payload, request.correlation))
        except queue.Full:
            self.overrun += 1
        self.nudge()

    def want(self, topics: Iterable[str]) -> None:
        """Listen to these topics too, and to no other further ones."""
        wanted = frozenset(topics)
        if wanted != self._wanted:
            self._wanted = wanted
            self.nudge()

    def end(self) -> None:
        """Begin to end: acknowledge, say goodbye, let go. Returns at once; ``is_alive`` tells when it is done."""
        self._stopping.set()
        self.nudge()

    def stop(self) -> None:
        """End, and wait for that."""
        self.end()
        if self.is_alive():
            self.join(_GOODBYE_S * 3)

    # The thread.

    def run(self) -> None:
        """Connect again and again."""
        backoff = Backoff(most_s=self._config.retry_at_most_every_s, rng=self._rng)
        while not self._stopping.is_set():
            begin_s = time.monotonic()
            try:
                session = self._connect()
                self._serve(session)
                told = session.lost or "stopped"
            except (EmtcError, OSError, ValueError) as error:  # whatever a broker does, this thread goes on
                told = str(error)
                self._traffic.add(_ATTEMPT_BYTES)
            self._ended(told)
            if not self._stopping.is_set():
                wait_s = backoff.next_s(time.monotonic() - begin_s)
                _LOG.warning("link: %s; next attempt in %.0f s", told, wait_s)
                self.turned_s = time.monotonic() + wait_s
                self._stopping.wait(wait_s)

    def _connect(self) -> Session:
        config = self._config
        will = Will(self._status_topic, encode(Status(state="lost", boot=config.boot)))
        client_id = f"emtc.{config.client}.{config.gateway}"  # names have no dot, so no two are alike
        session = Session(
            config.url, client_id, config.credentials, will, config.keepalive_s, self._received, self._answered
        )
        self.pair = session.pair
        self._begin(session)
        return session

    def _begin(self, session: Session) -> None:
        config = self._config
        self.reason = ""
        self._measured_bytes = 0
        if self.connections:
            self._hold_until_s = time.monotonic() + self._rng.uniform(0, config.spread_s)
        self.connections += 1
        self._outbox.release()
        session.publish(self._status_topic, _status("online", config.boot), retain=True)
        own = [subscription(channel, config.client, config.gateway) for channel in ("cmd", "model")]
        session.subscribe([*own, *config.further, *sorted(self._wanted)])
        session.unsubscribe(sorted(self._subscribed - self._wanted))  # the broker remembers the session before
        self._subscribed = self._wanted
        self.retained.tell_again()
        _LOG.info("link: connected to %s", config.url)

    def _serve(self, session: Session) -> None:
        """Until the session is lost or the gateway stops."""
        pace = Pace(self._config.messages_per_s, self._config.burst)
        measure_s = 0.0
        until_s: float | None = None
        while session.lost is None:
            now_s = time.monotonic()
            self.turned_s = now_s
            sent = self._send(session, pace, now_s)
            if self._stopping.is_set():
                until_s = until_s or now_s + _GOODBYE_S
                if now_s >= until_s or not (sent or session.in_flight):
                    break
            if now_s >= measure_s:
                measure_s = now_s + _MEASURE_EVERY_S
                self._measure(session)
            session.turn(self._patience_s(pace, now_s), self._wake)
            self._drain_wake()
        self._say_goodbye(session)
        self._measure(session)
        session.close()

    def _patience_s(self, pace: Pace, now_s: float) -> float:
        """How long nothing has to be done unless something happens."""
        if now_s < self._hold_until_s:
            return self._hold_until_s - now_s
        return pace.wait_s or 1.0

    def _send(self, session: Session, pace: Pace, now_s: float) -> int:
        """Send what may go now: first what is short and matters, then alerts, then the states of devices."""
        self._follow(session)
        self._send_replies(session)
        self._send_retained(session, minor=False)
        if now_s >= self._retry_refused_s:
            self._retry_refused_s = now_s + _REFUSED_WAIT_S
            self._outbox.retry_refused()
        if now_s < self._hold_until_s and not self._stopping.is_set():
            return 0
        level = self._traffic.level
        most = min(session.room, pace.allowed(now_s))
        chosen = self._outbox.next(most, int(level)) if most else []
        for one in chosen:
            self._send_queued(session, one)
        pace.spend(len(chosen))
        if level is Level.EVERYTHING:
            pace.spend(self._send_retained(session, most - len(chosen), minor=True))
        return len(chosen)

    def _send_queued(self, session: Session, one: Queued) -> None:
        if not session.takes(one.topic, one.payload):
            self._too_large(one.topic)
            self._outbox.delivered([one.number])
            return
        expiry_s = int(min(max(one.expires_in_s, 1), _LONGEST_EXPIRY_S))
        mid = session.publish(one.topic, one.payload, retain=one.retain, MessageExpiryInterval=expiry_s)
        self._sent[mid] = one.number

    def _too_large(self, topic: str) -> None:
        self.refused += 1
        _LOG.error("link: a message to %s is larger than the broker takes; it is dropped", topic)

    def _send_replies(self, session: Session) -> None:
        while session.room and not self._replies.empty():
            topic, payload, correlation = self._replies.get_nowait()
            if session.takes(topic, payload, correlation):
                session.publish(topic, payload, CorrelationData=correlation)
            else:
                self._too_large(topic)

    def _send_retained(self, session: Session, most: int = _MOST_REPLIES, *, minor: bool) -> int:
        """Send retained messages of a kind; returns how many."""
        sent = 0
        while session.room and sent < most and (taken := self.retained.take(minor=minor)):
            topic, kept = taken
            if session.takes(topic, kept.payload):
                session.publish(topic, kept.payload, retain=True, MessageExpiryInterval=kept.expiry_s)
            else:
                self._too_large(topic)
            sent += 1
        return sent

    def _follow(self, session: Session) -> None:
        wanted = self._wanted
        if wanted != self._subscribed:
            session.unsubscribe(sorted(self._subscribed - wanted))
            session.subscribe(sorted(wanted - self._subscribed))
            self._subscribed = wanted

    def _say_goodbye(self, session: Session) -> None:
        if session.lost is not None:
            return
        goodbye = session.publish(self._status_topic, _status("stopped", self._config.boot), retain=True)
        until_s = time.monotonic() + _SAY_S
        while goodbye in session.in_flight and session.lost is None and time.monotonic() < until_s:
            session.turn(until_s - time.monotonic())

    def _answered(self, mid: int, refusal: str | None) -> None:
        number = self._sent.pop(mid, None)
        if refusal is not None:
            self.refused += 1
            _LOG.error("link: the broker refused a message: %s", refusal)
            if number is not None:
                self._outbox.hold(number)
        elif number is not None:
            self._outbox.delivered([number])

    def _received(self, message: MQTTMessage) -> None:
        try:
            request = self._read_request(message)
        except (MessageError, UnicodeDecodeError) as error:
            _LOG.warning("link: ignored a message: %s", error)
            return
        try:
            self.requests.put_nowait(request)
        except queue.Full:
            self.overrun += 1
            self.reply(request, encode_answer(Answer(ok=False, error="busy")))
            return
        self._on_request()

    def _measure(self, session: Session) -> None:
        self._outbox.checkpoint()
        carried = session.carried_bytes()
        self._traffic.add(carried - self._measured_bytes)
        self._measured_bytes = max(carried, self._measured_bytes)

    def _ended(self, reason: str) -> None:
        self.pair = None
        self.reason = reason
        self._sent.clear()
        self._outbox.release()

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)


def _status(state: Literal["online", "stopped"], boot: str) -> bytes:
    return encode(Status(state=state, boot=boot, ts=time_text(time.time_ns() // 1_000)))
