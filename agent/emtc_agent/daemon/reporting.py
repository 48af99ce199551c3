"""What becomes of alerts: kept on disk with the incident they belong to, told to the broker, and to people."""

from __future__ import annotations

import time
from collections.abc import Sequence

from emtc_agent import __version__
from emtc_agent.delivery import Link
from emtc_agent.delivery.digest import DigestMaker
from emtc_agent.delivery.home_assistant import discovery
from emtc_agent.delivery.messages import Devices, alert_message
from emtc_agent.delivery.privacy import AddressHider
from emtc_agent.delivery.traffic import Level
from emtc_agent.incidents import IncidentTracker
from emtc_agent.incidents.record import encode_record
from emtc_agent.report.reporter import Reporter
from emtc_agent.store import Outbox, Outgoing
from emtc_contract.messages import Alert, encode
from emtc_contract.topics import build

_DAY_S = 86_400.0


class Reporting:
    """Hands alerts over.

    Args:
        client, gateway, boot: Of this gateway.
        outbox: Keeps what is to be sent, and open incidents.
        lifetime_s: How long an alert is worth sending.
        reporters: Told at once, such as lines for people.
        hider: Hides addresses; None tells them.
        home_assistant: Whether devices are announced to it.
        sending: Whether there is a broker to send to, now or later.
    """

    def __init__(
        self,
        client: str,
        gateway: str,
        boot: str,
        outbox: Outbox,
        lifetime_s: float,
        reporters: Sequence[Reporter] = (),
        hider: AddressHider | None = None,
        *,
        home_assistant: bool = False,
        sending: bool = True,
    ) -> None:
        self.link: Link | None = None
        self.outbox = outbox
        self._client, self._gateway = client, gateway
        self._topic = build(client, gateway, "alert")
        self._lifetime_s = lifetime_s
        self._sending = sending
        self._reporters, self._hider, self._home_assistant = tuple(reporters), hider, home_assistant
        self._devices = Devices(client, gateway, boot)
        self._digest = DigestMaker(boot, time.monotonic(), _wall_us())
        self._announced: tuple[str, ...] | None = None

    def attach(self, link: Link | None) -> None:
        """Tell through this link from now on."""
        self.link = link
        self._announced = None
        self.announce()

    def publish(self, alerts: Sequence[Alert], tracker: IncidentTracker) -> None:
        """Hand over alerts, with the incidents of ``tracker`` that they are about."""
        if not alerts:
            return
        told = [self._hider.hide(alert) for alert in alerts] if self._hider else list(alerts)
        messages = [alert_message(alert, self._topic, self._lifetime_s) for alert in told] if self._sending else []
        ids = {alert.id for alert in alerts}
        records: dict[str, bytes | None] = dict.fromkeys(ids)
        records |= {record.id: encode_record(record) for record in tracker.records(ids, tracker.teller.shift_us)}
        self.outbox.put(messages, records)
        for alert in alerts:
            for reporter in self._reporters:
                reporter.publish(alert)
        self._digest.note(told)
        if self.link is not None:
            for topic, payload in self._devices.note(told):
                self.link.retain(topic, payload, minor=True)
            self.announce()
            self.link.nudge()

    def keep(self, tracker: IncidentTracker) -> None:
        """Keep open incidents as they are now, so that a restart goes on from here."""
        open_now = tracker.records(shift_us=tracker.teller.shift_us)
        records = {record.id: encode_record(record) for record in open_now}
        if records:
            self.outbox.put((), records)

    def tick(self, level: Level) -> None:
        """Now and then: a digest, where alerts are not told one by one."""
        if self.link is None:
            return
        digest = self._digest.due(time.monotonic(), _wall_us(), len(self.outbox))
        if digest is not None and level is not Level.EVERYTHING:
            topic = build(self._client, self._gateway, "digest")
            self.outbox.put([Outgoing(topic, encode(digest), Level.CRITICAL, _DAY_S, replaces="digest")])
            self.link.nudge()

    def announce(self) -> None:
        """Tell Home Assistant of devices that are new."""
        known = tuple(sorted(self._devices.known))  # their order changes with their states
        if self.link is None or not self._home_assistant or known == self._announced:
            return
        self._announced = known
        devices = [(device, self._devices.topic(device)) for device in self._announced]
        topic, payload = discovery(self._client, self._gateway, __version__, devices)
        self.link.retain(topic, payload, minor=True)

    def announce_again(self) -> None:
        """Home Assistant has come up: it has forgotten."""
        if self.link is not None and self._home_assistant:
            topic, _ = discovery(self._client, self._gateway, __version__, ())
            self.link.retell([topic, *(self._devices.topic(device) for device in self._devices.known)])


def _wall_us() -> int:
    return time.time_ns() // 1_000
