"""One incident: what is known about an unusual endpoint while it stays unusual."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TypeVar

from emtc_agent.incidents.evidence import SECOND_US
from emtc_agent.packets import Float32, Float64
from emtc_contract.messages import Endpoint, Peer, Reason

_T = TypeVar("_T", str, int)

_FIRST_LOOKS = 8
_PEERS_KEPT = 16
_PEERS_TOLD = 3


@dataclass(slots=True)
class Incident:
    """State of an incident, open or about to be; ``reasons`` are those of its strongest window.

    Attributes:
        id: ULID, the same through new, update and end.
        endpoint: Whom it is about.
        first_us: Start of the first exceeding window.
        last_us: End of the latest one.
        told_us: When it was last due to be told.
        seq: Number of the next alert; 0 if nothing has been told.
        told_severity: Severity that the last alert told.
        updates: Alerts told since the first.
        acknowledged: Somebody knows of it: only what makes it worse, and its end, is told.
        strongest: Features and errors of its strongest window, until the reasons are made of them.
        votes: Families that the windows looked at look like.
    """

    id: str
    endpoint: Endpoint
    first_us: int
    last_us: int
    told_us: int
    seq: int = 0
    told_severity: int = 0
    updates: int = 0
    acknowledged: bool = False
    windows: int = 0
    score: float = 0.0
    p_value: float = 1.0
    reasons: tuple[Reason, ...] = ()
    strongest: tuple[Float64, Float32] | None = None
    looked_s: int = -1
    votes: Counter[str] = field(default_factory=Counter)
    peer_counts: Counter[str] = field(default_factory=Counter)
    port_counts: Counter[int] = field(default_factory=Counter)

    def note(self, ts_us: int, first_us: int, score: float, p_value: float) -> bool:
        """Take in an exceeding window; returns whether it is the strongest so far."""
        self.windows += 1
        if first_us < self.first_us:
            self.first_us = first_us
        if ts_us > self.last_us:
            self.last_us = ts_us
        strongest = score > self.score
        if strongest:
            self.score, self.p_value = score, p_value
        return strongest

    def wants_look(self, ts_us: int) -> bool:
        """Whether the window just noted is worth a closer look: the first few are, and then one a second."""
        return self.windows <= _FIRST_LOOKS or ts_us // SECOND_US != self.looked_s

    def look(self, ts_us: int, family: str, peer: str | None, port: int) -> None:
        """Take in what a window looks like."""
        self.looked_s = ts_us // SECOND_US
        self.votes[family] += 1
        if peer:
            _count_bounded(self.peer_counts, peer)
        if port:
            _count_bounded(self.port_counts, port)

    @property
    def looked(self) -> int:
        """Windows looked at."""
        return self.votes.total()

    @property
    def peers(self) -> tuple[Peer, ...]:
        """Most frequent remote addresses first."""
        return tuple(Peer(ip=ip, windows=number) for ip, number in self.peer_counts.most_common(_PEERS_TOLD))

    @property
    def ports(self) -> tuple[int, ...]:
        """Most frequent service ports first."""
        return tuple(port for port, _ in self.port_counts.most_common(_PEERS_TOLD))


def _count_bounded(counter: Counter[_T], key: _T) -> None:
    """Count, replacing the rarest entry when full (Metwally's Space-Saving)."""
    if key in counter or len(counter) < _PEERS_KEPT:
        counter[key] += 1
        return
    rarest, number = counter.most_common()[-1]
    del counter[rarest]
    counter[key] = number + 1
