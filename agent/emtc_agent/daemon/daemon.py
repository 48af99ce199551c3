"""The main loop: packets to alerts, and between them commands, updates, health; signals; start and end.

One thread does all of it but the link's and the updater's work, so nothing here needs a lock.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType

import msgspec

from emtc_agent.assembling import gateway_name
from emtc_agent.daemon.commanding import Commander
from emtc_agent.daemon.engine import Engine, EngineConfig
from emtc_agent.daemon.modelling import Models
from emtc_agent.daemon.parts import (
    Place,
    add_rules,
    allow_rules,
    edge_config,
    forget_ended,
    incident_config,
    is_allow_rule,
    link_config,
    ring_config,
)
from emtc_agent.daemon.reporting import Reporting
from emtc_agent.daemon.state import hiding_key, keep_others_away, state_folder
from emtc_agent.daemon.vitals import Vitals, write_metrics_file
from emtc_agent.delivery import Link, Request
from emtc_agent.delivery.privacy import AddressHider
from emtc_agent.delivery.request import FURTHER
from emtc_agent.delivery.traffic import Level, Traffic
from emtc_agent.health.notify import Notifier, watchdog_timeout_s
from emtc_agent.health.watchdog import DELIVERY, PIPELINE, Watchdog
from emtc_agent.incidents.suppression import Suppression
from emtc_agent.learning import LearnFiles, LearningConfig
from emtc_agent.report.reporter import Reporter
from emtc_agent.settings import Settings
from emtc_agent.sources.live import LiveCapture
from emtc_agent.sources.steady import SteadyTime
from emtc_agent.store import Database, Outbox, OutboxConfig, Records
from emtc_contract.commands import encode_answer
from emtc_contract.errors import EmtcError, InputError
from emtc_contract.messages import Alert, encode
from emtc_contract.topics import build

_LOG = logging.getLogger(__name__)
_LATE_US = 1_000_000
"""How long after its time a packet may still come out of a ring; windows wait that long for it."""
_TURN_S = 0.2
_METRICS_EVERY_S = 15.0
_TIDY_EVERY_S = 60.0
_MOST_REQUESTS = 16  # answered in one turn, so that commands do not keep packets waiting
_LINK_PATIENCE_S = 120.0  # connecting takes up to 20 s for each of its steps
_SLOWER = {Level.EVERYTHING: 1.0, Level.DIGESTS: 4.0, Level.CRITICAL: 96.0}
"""How much rarer health is told on a link whose budget runs out."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to run.

    Attributes:
        settings: All of them.
        place: Where files named in them are.
        read_again: Reads the settings anew, on SIGHUP; None if there is no file.
        seconds: End after so long.
        reporters: Told of alerts at once.
    """

    settings: Settings
    place: Place
    read_again: Callable[[], Settings] | None = None
    seconds: float | None = None
    reporters: tuple[Reporter, ...] = ()


class Daemon:
    """One run of the gateway's process.

    Raises:
        EmtcError: It cannot begin: no model, no permission to capture, a state folder that cannot be used.
    """

    def __init__(self, order: Order) -> None:
        self._order, self._settings = order, order.settings
        self._boot = secrets.token_hex(8)
        self._state = state_folder(self._settings, order.place)
        self._held = keep_others_away(self._state)
        self._database = Database(self._state / "state.db" if self._state else None)
        self._outbox = Outbox(self._database, OutboxConfig(self._settings.outbox.max_mib << 20))
        self._traffic = Traffic(self._database, _bytes(self._settings.outbox.monthly_mib))
        self._steady = SteadyTime()
        self._records = Records(self._database, self._steady.now_us)
        self._suppression = Suppression()
        add_rules(self._suppression, [*self._records.rules(), *allow_rules(self._settings.incidents)])
        forget_ended(self._suppression, self._records, self._steady.now_us())
        self._models = Models(self._settings, order.place, self._state)
        self._engine = self._make_engine()
        self._vitals = Vitals(self._boot, self._database, self._outbox, self._traffic, self._steady)
        self._link: Link | None = None
        self._reporting = self._make_reporting()
        self._notifier = Notifier()
        self._watchdog = _watchdog()
        self._stop = self._reload = self._connect_again = False
        self._turn_s = self._health_s = self._metrics_s = self._tidy_s = 0.0

    @property
    def engine(self) -> Engine:
        """What judges."""
        return self._engine

    def close(self) -> None:
        """Let go of the state folder."""
        self._database.close()
        if self._held is not None:
            os.close(self._held)
            self._held = None

    @contextmanager
    def capture(self) -> Iterator[LiveCapture]:
        """Open the interfaces and begin to report; at the end say goodbye."""
        capture = self._settings.capture
        if not capture.interfaces:
            raise InputError("no interface to watch: name one with -i, or in [capture] of the settings")
        self._handle_signals()
        with ExitStack() as stack:
            stack.callback(self.close)
            stack.callback(self._models.close)
            stack.callback(self._engine.close)
            self._capture = stack.enter_context(
                LiveCapture(capture.interfaces, ring_config(capture), patient=self._order.read_again is not None)
            )
            self._connect()
            stack.callback(self._disconnect)
            self._engine.restore(self._records.incidents(), self._steady.now_us())
            yield self._capture

    def run(self, capture: LiveCapture) -> None:
        """Watch until SIGINT, SIGTERM or the set time."""
        until_s = None if self._order.seconds is None else time.monotonic() + self._order.seconds
        self._notifier.ready()
        for batch in capture.batches(lambda: self._stop or (until_s is not None and time.monotonic() >= until_s)):
            if batch is not None:
                self._tell(self._engine.push(self._steady.steady(batch)))
            if batch is None or time.monotonic() >= self._turn_s:
                self._turn()
        self._notifier.stopping()
        pipeline = self._engine.pipeline
        # With a state folder the next run goes on with what is open; without, this is the end of it.
        self._tell(pipeline.halt() if self._state else pipeline.finish())
        self._reporting.keep(pipeline.tracker)

    def _turn(self) -> None:
        """What has to be done now and then, packets or not."""
        now_s = time.monotonic()
        self._turn_s = now_s + _TURN_S
        steady_us = self._steady.now_us()
        self._tell(self._engine.tick(steady_us - _LATE_US, self._steady.shift_us))
        self._capture.leave_out(self._link.pair if self._link else None)
        if self._connect_again and (self._link is None or not self._link.is_alive()):
            self._connect_again = False
            self._connect()
        self._answer_requests()
        self._update_model()
        self._tidy(now_s)
        if self._reload:
            self._reload = False
            self._read_settings_again()
        self._tell_health(now_s)
        self._ping(now_s)

    def _tidy(self, now_s: float) -> None:
        """Once a minute: expire messages, keep the running time, and open incidents as they are now."""
        if now_s >= self._tidy_s:
            self._tidy_s = now_s + _TIDY_EVERY_S
            self._outbox.expire()
            if self._link is None:
                self._outbox.checkpoint()  # else the link does it
            self._reporting.tick(self._traffic.level)
            self._reporting.keep(self._engine.pipeline.tracker)

    def _tell(self, alerts: list[Alert]) -> None:
        self._reporting.publish(alerts, self._engine.pipeline.tracker)

    def _answer_requests(self) -> None:
        link = self._link
        for _ in range(_MOST_REQUESTS if link is not None else 0):
            if link is None or link.requests.empty():
                return
            request = link.requests.get_nowait()
            if request.channel == "cmd":
                link.reply(request, encode_answer(self._commander().answer(request)))
            else:
                self._take_in(request)

        if link is not None and not link.requests.empty():
            self._capture.wake()  # soon again, after packets

    def _take_in(self, request: Request) -> None:
        updater = self._models.updater
        if request.channel == FURTHER:
            if request.payload == b"online":
                self._reporting.announce_again()
        elif updater is None or not self._settings.updates.enabled:
            _LOG.warning("a model was announced; updates need a state folder and are on by [updates]")
        elif request.channel == "model":
            updater.offer(request.payload)
        else:
            updater.chunk(request.argument, request.payload)

    def _commander(self) -> Commander:
        return Commander(
            engine=self._engine,
            suppression=self._suppression,
            records=self._records,
            outbox=self._outbox,
            updater=self._models.updater,
            health=lambda: self._vitals.health(self._engine, self._capture, self._link, self._models.updater),
            now_us=self._steady.now_us,
            boot=self._boot,
        )

    def _update_model(self) -> None:
        switched = self._models.turn(self._engine)
        if switched:
            self._tell_info()
        if self._link is not None and self._models.updater is not None:
            client, gateway = self._names()
            wanted = self._models.updater.wanted_chunks()
            self._link.want(build(client, gateway, "chunk", argument) for argument in wanted)

    def _tell_health(self, now_s: float) -> None:
        level = self._traffic.level
        metrics = self._settings.health.metrics_file
        if now_s < min(self._health_s, self._metrics_s if metrics else self._health_s):
            return
        health = self._vitals.health(self._engine, self._capture, self._link, self._models.updater)
        if metrics and now_s >= self._metrics_s:
            self._metrics_s = now_s + _METRICS_EVERY_S
            write_metrics_file(self._order.place.find(metrics), health)
        if now_s >= self._health_s:
            self._health_s = now_s + self._settings.health.every_s * _SLOWER[level]
            if self._link is not None:
                lifetime_s = 2 * self._settings.health.every_s * _SLOWER[level]
                self._link.retain(build(*self._names(), "health"), encode(health), expiry_s=lifetime_s)
            connected = "no broker" if self._link is None else self._link.reason or "connected"
            self._notifier.status(f"{health.packets} packets, {health.incidents_open} incidents open; {connected}")

    def _ping(self, now_s: float) -> None:
        if self._watchdog is None:
            return
        self._watchdog.progress(now_s, PIPELINE)
        if self._link is None or (self._link.is_alive() and now_s - self._link.turned_s < _LINK_PATIENCE_S):
            self._watchdog.progress(now_s, DELIVERY)
        if self._watchdog.due(now_s):
            self._notifier.watchdog()

    def _read_settings_again(self) -> None:
        """SIGHUP: what can change while running changes; the rest is told to need a restart."""
        if self._order.read_again is None:
            return
        self._notifier.reloading()
        try:
            settings = self._order.read_again()
            link_config(settings, self._order.place, self._boot)
        except EmtcError as error:
            _LOG.error("settings stay as they are: %s", error)
        else:
            self._apply(settings)
        self._notifier.ready()

    def _apply(self, settings: Settings) -> None:
        before, self._settings = self._settings, settings
        for name in ("capture", "model", "state", "learning", "updates"):
            if getattr(before, name) != getattr(settings, name):
                _LOG.warning("settings: [%s] has changed and takes effect with a restart", name)
        for rule in filter(is_allow_rule, self._suppression.rules):
            self._suppression.remove(rule.id)
        add_rules(self._suppression, allow_rules(settings.incidents))
        self._engine.change_incidents(incident_config(settings.incidents))
        self._health_s = 0.0
        if (before.broker, before.outbox, before.gateway) != (settings.broker, settings.outbox, settings.gateway):
            self._traffic.change(_bytes(settings.outbox.monthly_mib))
            self._outbox.change(OutboxConfig(settings.outbox.max_mib << 20))
            self._reporting = self._make_reporting()
            self._connect_again = True
            if self._link is not None:
                self._link.end()  # `_turn` connects anew when it has let go: capturing must not wait for that
        self._tell_info()
        _LOG.info("settings were read again")

    def _make_engine(self) -> Engine:
        settings = self._settings
        files = LearnFiles.inside(self._state) if self._state else None
        incidents = incident_config(settings.incidents)
        learning = LearningConfig(capacity=settings.learning.reservoir_windows, incidents=incidents)
        config = EngineConfig(edge_config(settings.capture), incidents, learning)
        model = self._models.first()
        return Engine(model, config, self._boot, self._suppression, files, settings.capture.interfaces)

    def _make_reporting(self) -> Reporting:
        settings = self._settings
        hider = AddressHider(hiding_key(self._state)) if settings.broker.hash_addresses else None
        return Reporting(
            *self._names(),
            self._boot,
            self._outbox,
            settings.outbox.alert_expiry_days * 86_400,
            self._order.reporters,
            hider,
            home_assistant=settings.broker.home_assistant,
            sending=settings.broker.url is not None,
        )

    def _names(self) -> tuple[str, str]:
        gateway = self._settings.gateway
        return gateway.client, gateway.name or gateway_name()

    def _connect(self) -> None:
        config = link_config(self._settings, self._order.place, self._boot)
        self._link = None
        if config is None:
            self._reporting.attach(None)
            return
        self._link = Link(config, self._outbox, self._traffic, self._capture.wake)
        self._tell_info()
        self._link.start()
        self._reporting.attach(self._link)

    def _disconnect(self) -> None:
        if self._link is not None:
            self._link.stop()
        self._link = None

    def _tell_info(self) -> None:
        if self._link is not None:
            digest = hashlib.sha256(msgspec.json.encode(self._settings)).hexdigest()[:16]
            info = msgspec.structs.replace(self._engine.info, settings_digest=digest)
            self._link.retain(build(*self._names(), "info"), encode(info))

    def _handle_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._signalled)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        del frame
        if number == signal.SIGHUP:
            self._reload = True
        else:
            self._stop = True


def _bytes(mib: float | None) -> int | None:
    return None if mib is None else int(mib * (1 << 20))


def _watchdog() -> Watchdog | None:
    timeout_s = watchdog_timeout_s()
    if timeout_s is None:
        return None
    return Watchdog(timeout_s, dict.fromkeys((PIPELINE, DELIVERY), timeout_s / 2), time.monotonic())
