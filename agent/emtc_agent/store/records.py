"""Open incidents and rules as they are on disk."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable

import msgspec

from emtc_agent.incidents.record import IncidentRecord, decode_record
from emtc_agent.incidents.suppression import Rule
from emtc_agent.store.database import Database
from emtc_contract.errors import MessageError

_LOG = logging.getLogger(__name__)


class Records:
    """Reads what an earlier run left, and keeps rules; ``Outbox.put`` keeps open incidents.

    Args:
        database: Where.
        now_us: The time that ends of rules are told in. On disk they are in running time: the wall clock may be
            another after a restart.
    """

    def __init__(self, database: Database, now_us: Callable[[], int] = lambda: time.time_ns() // 1_000) -> None:
        self._database = database
        self._now_us = now_us

    def incidents(self) -> list[IncidentRecord]:
        """Incidents that were open; a damaged record is left out and logged."""
        found = []
        for incident, raw in self._database.rows("SELECT id, record FROM incidents ORDER BY id"):
            try:
                found.append(decode_record(raw))
            except MessageError as error:
                _LOG.error("incident %s cannot go on: %s", incident, error)
        return found

    def rules(self) -> list[Rule]:
        """Rules that were in force."""
        found = []
        for rule, raw in self._database.rows("SELECT id, record FROM rules ORDER BY id"):
            try:
                found.append(_later(msgspec.msgpack.decode(raw, type=Rule), self._now_us() - self._running_us()))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                _LOG.error("rule %s is lost: %s", rule, error)
        return found

    def keep_rule(self, rule: Rule) -> None:
        """Keep a rule over restarts, as far as the disk allows."""
        kept = _later(rule, self._running_us() - self._now_us())
        self._change("INSERT OR REPLACE INTO rules VALUES (?, ?)", rule.id, msgspec.msgpack.encode(kept))

    def forget_rule(self, rule_id: str) -> None:
        """Forget a rule."""
        self._change("DELETE FROM rules WHERE id = ?", rule_id)

    def _running_us(self) -> int:
        return int(self._database.running_s() * 1_000_000)

    def _change(self, sql: str, *values: object) -> None:
        try:
            with self._database.transaction() as connection:
                connection.execute(sql, values)
        except sqlite3.Error as error:
            _LOG.warning("rules: cannot be kept now: %s", error)


def _later(rule: Rule, by_us: int) -> Rule:
    return rule if rule.until_us is None else msgspec.structs.replace(rule, until_us=rule.until_us + by_us)
