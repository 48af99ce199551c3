"""From scored windows to alerts: open, update and close incidents per endpoint.

Pure and clock-injected: time is the capture time of the windows and what ``tick`` is told.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Literal

from emtc_agent.addresses import endpoint_text, ip_text, mac_text
from emtc_agent.detector import Bundle, Scored, explain
from emtc_agent.detector.calibration import weights
from emtc_agent.incidents.evidence import SECOND_US, Evidence
from emtc_agent.incidents.family import vote
from emtc_agent.incidents.incident import Incident
from emtc_agent.incidents.record import IncidentRecord
from emtc_agent.incidents.rows import Key, ScoredRow, scored_rows
from emtc_agent.incidents.suppression import Suppression
from emtc_agent.incidents.telling import State, Teller
from emtc_agent.incidents.ulid import ulid
from emtc_agent.windows.windows import EndpointKind, Windows
from emtc_contract.messages import Alert, Endpoint, Model

_FAINT = 1.0  # evidence so low no longer dates an incident back
_MOST_STALE = 1024
_FADED = 5  # half-lives after which a draft's evidence is next to nothing


@dataclass(frozen=True, slots=True)
class IncidentConfig:
    """When incidents open, repeat and close.

    Attributes:
        open_level: Evidence that opens an incident (see ``Evidence``); None takes the bundle's.
        drift: What -ln p of a window must exceed to be evidence: 3 is a p-value of 5 %.
        cap: Most that -ln p of a window counts.
        half_life_s: After so long without windows half of the evidence is left.
        update_every_s: Least time to the first update of an incident; each later one waits twice as long ...
        update_at_most_every_s: ... up to this.
        close_after_s: Time without evidence after which an incident ends.
    """

    open_level: float | None = None
    drift: float = 3.0
    cap: float = 12.0
    half_life_s: float = 60.0
    update_every_s: float = 60.0
    update_at_most_every_s: float = 3_600.0
    close_after_s: float = 30.0


@dataclass(slots=True)
class _Suspect:
    """An endpoint with recent evidence; its incident is a draft until it has been told."""

    evidence: Evidence
    incident: Incident
    is_open: bool = False
    resumed_us: int = 0  # nobody was watching before


class IncidentTracker:
    """Implements the rules for all endpoints.

    Args:
        bundle: Thresholds, usual ranges and schema for the reasons.
        model: What scored, as alerts tell it.
        threshold: Score that alerts tell as the usual limit; severity is by the ratio to it.
        boot: Id of this run, as alerts tell it.
        config: The rules.
        rng: Source of the random part of incident ids.
        suppression: Which incidents are not told.

    Attributes:
        opened: Incidents opened so far.
        teller: Makes the alerts.
    """

    def __init__(
        self,
        bundle: Bundle,
        model: Model,
        threshold: float,
        boot: str,
        config: IncidentConfig | None = None,
        rng: random.Random | None = None,
        suppression: Suppression | None = None,
    ) -> None:
        self.opened = 0
        self._bundle = bundle
        self._config = config or IncidentConfig()
        self.teller = Teller(
            bundle.schema,
            model,
            threshold,
            boot,
            self._config.update_every_s,
            self._config.update_at_most_every_s,
            Suppression() if suppression is None else suppression,
        )
        level = self._config.open_level
        self._open_level = bundle.manifest.open_level if level is None else level
        self._rng = rng or random.SystemRandom()
        self._suspects: dict[Key, _Suspect] = {}
        self._due: list[tuple[int, Key]] = []  # a heap; a suspect's entry is never later than its end

    def change(self, config: IncidentConfig) -> None:
        """Go by other rules from now on."""
        self._config = config
        level = config.open_level
        self._open_level = self._bundle.manifest.open_level if level is None else level
        self.teller.update_every_s = config.update_every_s
        self.teller.update_at_most_every_s = config.update_at_most_every_s
        self._remind_all()

    @property
    def open(self) -> int:
        """Incidents open now."""
        return sum(suspect.is_open for suspect in self._suspects.values())

    @property
    def open_keys(self) -> frozenset[Key]:
        """Keys of endpoints with an open incident, told or not."""
        return frozenset(key for key, suspect in self._suspects.items() if suspect.is_open)

    def records(self, ids: Collection[str] | None = None, shift_us: int = 0) -> list[IncidentRecord]:
        """What a restart needs to go on with open incidents that have been told.

        Args:
            ids: Of these; None for all.
            shift_us: What makes the times those that ``restore`` shall get.
        """
        return [
            IncidentRecord.of(key, suspect.evidence.level, suspect.incident, shift_us)
            for key, suspect in self._suspects.items()
            if suspect.is_open and suspect.incident.seq and (ids is None or suspect.incident.id in ids)
        ]

    def restore(self, records: Iterable[IncidentRecord], now_us: int) -> None:
        """Go on with the incidents of an earlier run; quiet time counts from ``now_us``."""
        for record in records:
            evidence, incident = Evidence(self._config.half_life_s), record.incident(now_us)
            suspect = _Suspect(evidence, incident, is_open=True, resumed_us=now_us)
            suspect.evidence.add(suspect.incident.last_us, record.level)
            self._suspects[record.key] = suspect
            self._remind(record.key, suspect)

    def find(self, incident_id: str) -> Incident | None:
        """The open incident of an id."""
        held = (one.incident for one in self._suspects.values() if one.is_open and one.incident.id == incident_id)
        return next(held, None)

    def observe(self, windows: Windows, scored: Scored) -> list[Alert]:
        """Take in scored windows, in the order in which they closed; returns the alerts they cause."""
        alerts: list[Alert] = []
        weight = weights(scored.p_value, self._config.drift, self._config.cap)
        if not self._suspects and not (weight > 0).any():
            return alerts
        for one in scored_rows(windows, scored, weight):
            if one.weight > 0:
                if self._due and self._due[0][0] < one.last_us:
                    alerts += self.tick(one.last_us)
                alerts += self._evidence(windows, scored, one)
            elif one.key in self._suspects:
                self._calm(one)
        return alerts

    def tick(self, now_us: int) -> list[Alert]:
        """Let time pass: close what has been quiet, forget faded drafts."""
        alerts: list[Alert] = []
        while self._due and self._due[0][0] < now_us:
            _, key = heappop(self._due)
            suspect = self._suspects.get(key)
            if suspect is None:
                continue
            if self._ends_us(suspect) >= now_us:
                heappush(self._due, (self._ends_us(suspect), key))
                continue
            del self._suspects[key]
            if suspect.is_open:
                alerts += self._tell(suspect.incident, "end", self._ends_us(suspect))
        return alerts

    def _ends_us(self, suspect: _Suspect) -> int:
        """When a suspect is forgotten if nothing more is seen of it."""
        silence_s = self._config.close_after_s if suspect.is_open else _FADED * self._config.half_life_s
        return max(suspect.incident.last_us, suspect.resumed_us) + int(silence_s * SECOND_US)

    def _remind(self, key: Key, suspect: _Suspect) -> None:
        """Look at a suspect again when it may end; reminders of suspects that are gone are thrown away in time."""
        heappush(self._due, (self._ends_us(suspect), key))
        if len(self._due) > 4 * len(self._suspects) + _MOST_STALE:
            self._remind_all()

    def _remind_all(self) -> None:
        self._due = [(self._ends_us(one), key) for key, one in self._suspects.items()]
        heapify(self._due)

    def finish(self) -> list[Alert]:
        """End of the stream: close every open incident."""
        alerts = [
            alert
            for suspect in self._suspects.values()
            if suspect.is_open
            for alert in self._tell(suspect.incident, "end", suspect.incident.last_us)
        ]
        self._suspects.clear()
        self._due.clear()
        return alerts

    def _evidence(self, windows: Windows, scored: Scored, one: ScoredRow) -> Sequence[Alert]:
        ts_us = one.last_us
        suspect = self._suspects.get(one.key) or self._new_suspect(windows, one)
        if not suspect.is_open and suspect.evidence.left(ts_us) < _FAINT:
            suspect.incident = self._draft(windows, one)
        incident = suspect.incident
        level = suspect.evidence.add(ts_us, one.weight)
        if incident.note(ts_us, one.first_us, one.score, one.p_value):
            incident.strongest = windows.features[one.at].copy(), scored.errors[one.row].copy()
        if incident.wants_look(ts_us):
            self._look(incident, windows, one)
        if suspect.is_open:
            return self._tell(incident, "update", ts_us) if self.teller.is_due(incident, ts_us) else ()
        if level < self._open_level:
            return ()
        suspect.is_open = True
        self._remind(one.key, suspect)
        self.opened += 1
        return self._tell(incident, "new", ts_us)

    def _look(self, incident: Incident, windows: Windows, one: ScoredRow) -> None:
        """What a window looks like, and whom it is with."""
        at = one.at
        values = dict(zip(self._bundle.schema.columns, windows.features[at].tolist(), strict=True))
        peer = ip_text(int(windows.peer_hi[at]), int(windows.peer_lo[at]))
        incident.look(one.last_us, vote(values), peer, int(windows.peer_port[at]))

    def _tell(self, incident: Incident, state: State, now_us: int) -> list[Alert]:
        if incident.strongest is not None:
            incident.reasons = explain(*incident.strongest, self._bundle)
            incident.strongest = None
        return self.teller.tell(incident, state, now_us)

    def _calm(self, one: ScoredRow) -> None:
        """A benign window of a suspect draws its evidence down; a draft without evidence is forgotten."""
        suspect = self._suspects[one.key]
        if not suspect.evidence.add(one.last_us, one.weight) and not suspect.is_open:
            del self._suspects[one.key]

    def _new_suspect(self, windows: Windows, one: ScoredRow) -> _Suspect:
        suspect = _Suspect(Evidence(self._config.half_life_s), self._draft(windows, one))
        self._suspects[one.key] = suspect
        self._remind(one.key, suspect)
        return suspect

    def _draft(self, windows: Windows, one: ScoredRow) -> Incident:
        """An incident that may come of a window."""
        first_us = one.first_us
        return Incident(
            id=ulid(first_us, self._rng),
            endpoint=describe_endpoint(windows, one.at),
            first_us=first_us,
            last_us=first_us,
            told_us=first_us,
        )


def describe_endpoint(windows: Windows, at: int) -> Endpoint:
    """The endpoint of a window, as alerts tell it."""
    kind = EndpointKind(int(windows.kind[at]))
    hi, lo, teid = int(windows.id_hi[at]), int(windows.id_lo[at]), int(windows.teid[at])
    names: dict[EndpointKind, Literal["mac", "ip", "teid", "overflow", "capture"]] = {
        EndpointKind.CAPTURE: "capture",
        EndpointKind.MAC: "mac",
        EndpointKind.IP: "ip",
        EndpointKind.TEID: "teid",
        EndpointKind.OVERFLOW: "overflow",
    }
    return Endpoint(
        id=endpoint_text(kind, hi, lo),
        kind=names[kind],
        ip=ip_text(int(windows.ip_hi[at]), int(windows.ip_lo[at])),
        mac=mac_text(lo) if kind == EndpointKind.MAC else None,
        teid=f"0x{teid:08x}" if teid else None,
    )
