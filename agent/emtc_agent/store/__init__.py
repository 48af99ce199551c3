"""What has to outlive a restart, in one SQLite file: waiting messages, open incidents, rules, traffic."""

from emtc_agent.store.database import Database
from emtc_agent.store.outbox import Outbox, OutboxConfig, Outgoing, Queued
from emtc_agent.store.records import Records

__all__ = ["Database", "Outbox", "OutboxConfig", "Outgoing", "Queued", "Records"]
