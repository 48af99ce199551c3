"""Which incidents are not told: rules with an end, made by operators or by the settings."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from emtc_agent.incidents.family import elect
from emtc_agent.incidents.incident import Incident
from emtc_contract.errors import InputError

MAX_RULES = 512


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Hides the incidents that fit all that it names.

    Attributes:
        id: Names the rule; a second one of the same id replaces the first.
        endpoint: Id, address or MAC of a device.
        family: Family the incident looks like.
        peer: A remote among the incident's most frequent ones.
        most_score: Only as long as the incident scores no higher: what looks worse than before is told.
        until_us: When the rule ends, in stream time; None is never.
        why: Who asked for it, for people.
    """

    id: str
    endpoint: str | None = None
    family: str | None = None
    peer: str | None = None
    most_score: float | None = None
    until_us: int | None = None
    why: str = ""

    def fits(self, incident: Incident) -> bool:
        """Whether the incident is one of those meant."""
        endpoint = incident.endpoint
        return (
            (self.endpoint is None or self.endpoint.lower() in (endpoint.id.lower(), endpoint.ip, endpoint.mac))
            and (self.family is None or self.family == elect(incident.votes).name)
            and (self.peer is None or any(peer.ip == self.peer for peer in incident.peers))
            and (self.most_score is None or incident.score <= self.most_score)
        )


class Suppression:
    """The rules in force.

    Args:
        rules: To begin with.

    Raises:
        InputError: Too many rules, or one that would hide everything.
    """

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules: dict[str, Rule] = {}
        for rule in rules:
            self.add(rule)

    def add(self, rule: Rule) -> None:
        """Put a rule in force."""
        if rule.endpoint is None and rule.family is None and rule.peer is None:
            raise InputError(f"rule {rule.id}: names no endpoint, family or peer; it would hide everything")
        if rule.id not in self._rules and len(self._rules) >= MAX_RULES:
            raise InputError(f"rule {rule.id}: there are {MAX_RULES} rules already")
        self._rules[rule.id] = rule

    def remove(self, rule_id: str) -> bool:
        """Take a rule out of force; returns whether there was one."""
        return self._rules.pop(rule_id, None) is not None

    def expire(self, now_us: int) -> list[str]:
        """Take out what has ended; returns the ids."""
        ended = [rule.id for rule in self._rules.values() if rule.until_us is not None and rule.until_us <= now_us]
        for rule_id in ended:
            del self._rules[rule_id]
        return ended

    def hides(self, incident: Incident, now_us: int) -> bool:
        """Whether an incident is not to be told now."""
        if not self._rules:
            return False
        self.expire(now_us)
        return any(rule.fits(incident) for rule in self._rules.values())

    @property
    def rules(self) -> tuple[Rule, ...]:
        """In force now."""
        return tuple(self._rules.values())
