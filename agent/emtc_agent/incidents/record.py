"""An open incident as it is kept on disk, so that a restart goes on with it instead of announcing it again."""

from __future__ import annotations

from collections import Counter

import msgspec

from emtc_agent.incidents.incident import Incident
from emtc_contract.errors import MessageError
from emtc_contract.messages import Endpoint, Reason


class IncidentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All of an incident, and its endpoint's key and evidence."""

    key: tuple[int, int, int]
    level: float
    id: str
    endpoint: Endpoint
    first_us: int
    last_us: int
    told_us: int
    seq: int
    told_severity: int
    updates: int
    acknowledged: bool
    windows: int
    score: float
    p_value: float
    reasons: tuple[Reason, ...]
    votes: dict[str, int]
    peers: dict[str, int]
    ports: dict[int, int]

    @classmethod
    def of(cls, key: tuple[int, int, int], level: float, incident: Incident, shift_us: int = 0) -> IncidentRecord:
        """The record of an incident as it is now; ``shift_us`` is added to its times."""
        return cls(
            key=key,
            level=level,
            id=incident.id,
            endpoint=incident.endpoint,
            first_us=incident.first_us + shift_us,
            last_us=incident.last_us + shift_us,
            told_us=incident.told_us + shift_us,
            seq=incident.seq,
            told_severity=incident.told_severity,
            updates=incident.updates,
            acknowledged=incident.acknowledged,
            windows=incident.windows,
            score=incident.score,
            p_value=incident.p_value,
            reasons=incident.reasons,
            votes=dict(incident.votes),
            peers=dict(incident.peer_counts),
            ports=dict(incident.port_counts),
        )

    def incident(self, latest_us: int) -> Incident:
        """The incident again; times after ``latest_us`` come of a clock that was wrong, and are taken back to it."""
        return Incident(
            id=self.id,
            endpoint=self.endpoint,
            first_us=min(self.first_us, latest_us),
            last_us=min(self.last_us, latest_us),
            told_us=min(self.told_us, latest_us),
            seq=self.seq,
            told_severity=self.told_severity,
            updates=self.updates,
            acknowledged=self.acknowledged,
            windows=self.windows,
            score=self.score,
            p_value=self.p_value,
            reasons=self.reasons,
            votes=Counter(self.votes),
            peer_counts=Counter(self.peers),
            port_counts=Counter(self.ports),
        )


def encode_record(record: IncidentRecord) -> bytes:
    """As kept."""
    return msgspec.msgpack.encode(record)


def decode_record(raw: bytes) -> IncidentRecord:
    """Read what was kept; raises MessageError if it is damaged."""
    try:
        return msgspec.msgpack.decode(raw, type=IncidentRecord)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"incident record: {error}") from None
