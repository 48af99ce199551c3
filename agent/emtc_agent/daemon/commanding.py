"""Commands carried out; whatever is wrong with one is answered, and nothing else happens."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from emtc_agent.addresses import time_text
from emtc_agent.daemon.engine import Engine
from emtc_agent.daemon.parts import forget_ended
from emtc_agent.delivery import Request
from emtc_agent.incidents.evidence import SECOND_US
from emtc_agent.incidents.family import elect
from emtc_agent.incidents.record import encode_record
from emtc_agent.incidents.suppression import Rule, Suppression
from emtc_agent.store import Outbox, Records
from emtc_contract.commands import Ack, Answer, Command, Learn, Ping, Status, Suppress, Update, decode_command
from emtc_contract.errors import EmtcError, InputError
from emtc_contract.messages import Health

if TYPE_CHECKING:
    from emtc_agent.updates import Updater

_DAY_US = 86_400 * SECOND_US
_EXPECTED_MARGIN = 1.5
"""An incident like an expected one may score so much higher before it is told again."""


@dataclass(slots=True)
class Commander:
    """Carries commands out, in the main loop's thread.

    Attributes:
        engine: Judges.
        suppression: The rules.
        records: Keeps the rules.
        outbox: Keeps open incidents.
        updater: Of the model; None where updates are off.
        health: Makes the health message.
        now_us: Steady time.
        boot: Id of this run.
    """

    engine: Engine
    suppression: Suppression
    records: Records
    outbox: Outbox
    updater: Updater | None
    health: Callable[[], Health]
    now_us: Callable[[], int]
    boot: str

    def answer(self, request: Request) -> Answer:
        """Carry out a request; the answer tells what came of it."""
        try:
            command = decode_command(request.argument, request.payload)
            return Answer(ok=True, result=self._carry_out(command))
        except EmtcError as error:
            return Answer(ok=False, error=str(error)[:500])

    def _carry_out(self, command: Command) -> dict[str, Any]:
        if isinstance(command, Ping):
            return {"boot": self.boot, "ts": time_text(self.now_us() + self.engine.pipeline.tracker.teller.shift_us)}
        if isinstance(command, Status):
            return self._status()
        if isinstance(command, Learn):
            return self._learn(command)
        if isinstance(command, Ack):
            return self._acknowledge(command)
        if isinstance(command, Suppress):
            return self._suppress(command)
        return self._update(command) if isinstance(command, Update) else {}

    def _status(self) -> dict[str, Any]:
        rules = [msgspec.to_builtins(rule) for rule in self.suppression.rules[:100]]
        learner, report = self.engine.learner, self.engine.report
        return {
            "health": msgspec.to_builtins(self.health()),
            "info": msgspec.to_builtins(self.engine.info),
            "rules": rules,
            "learning": msgspec.to_builtins(learner.state()) if learner else None,
            "learned": msgspec.to_builtins(report) if report else None,
            "update": self.updater.state() if self.updater else None,
        }

    def _learn(self, command: Learn) -> dict[str, Any]:
        learner = self.engine.learner
        if learner is None:
            raise InputError("learning needs a state folder")
        if command.forget:
            return {"forgotten": self.engine.forget_learned()}
        if command.seconds == 0:
            learner.cancel()
            return {"learning": False}
        if command.accepted and not command.trusted:
            raise InputError("accepted goes with trusted only")
        learner.start(self.now_us(), command.seconds, trusted=command.trusted, accepted=command.accepted)
        return {"learning": True, "seconds": command.seconds, "trusted": command.trusted}

    def _acknowledge(self, command: Ack) -> dict[str, Any]:
        incident = self.engine.pipeline.tracker.find(command.id)
        if incident is None:
            raise InputError(f"no incident {command.id} is open")
        incident.acknowledged = True
        tracker = self.engine.pipeline.tracker
        records = tracker.records({incident.id}, tracker.teller.shift_us)
        self.outbox.put((), {record.id: encode_record(record) for record in records})
        if command.verdict == "seen":
            return {"acknowledged": command.id}
        rule = Rule(
            id=f"expected {command.id}",
            endpoint=incident.endpoint.id,
            family=elect(incident.votes).name,
            most_score=incident.score * _EXPECTED_MARGIN,
            until_us=self.now_us() + int(command.days * _DAY_US),
            why=command.why or "expected",
        )
        self._put_in_force(rule)
        return {"acknowledged": command.id, "rule": rule.id}

    def _suppress(self, command: Suppress) -> dict[str, Any]:
        if command.remove is not None:
            if not self.suppression.remove(command.remove):
                raise InputError(f"there is no rule {command.remove!r}")
            self.records.forget_rule(command.remove)
            return {"removed": command.remove}
        rule = Rule(
            id=secrets.token_hex(6),
            endpoint=command.endpoint,
            family=command.family,
            peer=command.peer,
            until_us=self.now_us() + int(command.hours * 3_600 * SECOND_US),
            why=command.why,
        )
        self._put_in_force(rule)
        return {"rule": rule.id}

    def _put_in_force(self, rule: Rule) -> None:
        forget_ended(self.suppression, self.records, self.now_us())
        self.suppression.add(rule)
        self.records.keep_rule(rule)

    def _update(self, command: Update) -> dict[str, Any]:
        updater = self.updater
        if updater is None:
            raise InputError("model updates are off")
        if command.action == "rollback":
            updater.roll_back("an operator asked for the model before")
        elif command.action == "retry":
            return {"announced": updater.retry() or None, **updater.state()}
        return updater.state()
