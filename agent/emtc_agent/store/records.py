"""Open incidents and rules as they are on disk."""

from __future__ import annotations

import logging
import sqlite3

import msgspec

from emtc_agent.incidents.record import IncidentRecord, decode_record
from emtc_agent.incidents.suppression import Rule
from emtc_agent.store.database import Database
from emtc_contract.errors import MessageError

_LOG = logging.getLogger(__name__)


class Records:
    """Reads what an earlier run left, and keeps rules; ``Outbox.put`` keeps open incidents."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
                found.append(msgspec.msgpack.decode(raw, type=Rule))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                _LOG.error("rule %s is lost: %s", rule, error)
        return found

    def keep_rule(self, rule: Rule) -> None:
        """Keep a rule over restarts, as far as the disk allows."""
        self._change("INSERT OR REPLACE INTO rules VALUES (?, ?)", rule.id, msgspec.msgpack.encode(rule))

    def forget_rule(self, rule_id: str) -> None:
        """Forget a rule."""
        self._change("DELETE FROM rules WHERE id = ?", rule_id)

    def _change(self, sql: str, *values: object) -> None:
        try:
            with self._database.transaction() as connection:
                connection.execute(sql, values)
        except sqlite3.Error as error:
            _LOG.warning("rules: cannot be kept now: %s", error)
