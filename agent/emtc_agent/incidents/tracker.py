"""From scored windows to alerts: open, update and close incidents per endpoint.

Pure and clock-injected: time is the capture time of the windows and what ``tick`` is told.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Literal

from emtc_agent.addresses import endpoint_text, ip_text, mac_text, time_text
from emtc_agent.detector import Bundle, Scored, explain
from emtc_agent.detector.calibration import weights
from emtc_agent.incidents.evidence import SECOND_US, Evidence
from emtc_agent.incidents.family import elect, vote
from emtc_agent.incidents.incident import Incident, Sighting
from emtc_agent.incidents.ulid import ulid
from emtc_agent.incidents.wording import sentence
from emtc_agent.windows.windows import EndpointKind, Windows
from emtc_contract.messages import ALERT_SCHEMA, Alert, Endpoint, Model

Key = tuple[int, int, int]
_FAINT = 1.0  # evidence so low no longer dates an incident back
_MOST_STALE = 1024
_FADED = 5  # half-lives after which a draft's evidence is next to nothing
_SEVERITY_RATIOS = (1.5, 3.0, 10.0)  # score / threshold above which severity rises from 2 to 5


@dataclass(frozen=True, slots=True)
class IncidentConfig:
    """When incidents open, repeat and close.

    Attributes:
        open_level: Evidence that opens an incident (see ``Evidence``); None takes the bundle's.
        drift: What -ln p of a window must exceed to be evidence: 3 is a p-value of 5 %.
        cap: Most that -ln p of a window counts.
        half_life_s: After so long without windows half of the evidence is left.
        update_every_s: Least time between two updates of one incident.
        close_after_s: Time without evidence after which an incident ends.
    """

    open_level: float | None = None
    drift: float = 3.0
    cap: float = 12.0
    half_life_s: float = 60.0
    update_every_s: float = 60.0
    close_after_s: float = 30.0


@dataclass(slots=True)
class _Suspect:
    """An endpoint with recent evidence; its incident is a draft until it has been told."""

    evidence: Evidence
    incident: Incident
    is_open: bool = False


class IncidentTracker:
    """Implements the rules for all endpoints.

    Args:
        bundle: Thresholds, usual ranges and schema for the reasons.
        model: What scored, as alerts tell it.
        threshold: Score that alerts tell as the usual limit; severity is by the ratio to it.
        boot: Id of this run, as alerts tell it.
        config: The rules.
        rng: Source of the random part of incident ids.

    Attributes:
        opened: Incidents opened so far.
    """

    def __init__(
        self,
        bundle: Bundle,
        model: Model,
        threshold: float,
        boot: str,
        config: IncidentConfig | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.opened = 0
        self._bundle = bundle
        self._model = model
        self._threshold = threshold
        self._boot = boot
        self._config = config or IncidentConfig()
        level = self._config.open_level
        self._open_level = bundle.manifest.open_level if level is None else level
        self._rng = rng or random.SystemRandom()
        self._suspects: dict[Key, _Suspect] = {}
        self._due: list[tuple[int, Key]] = []  # a heap; a suspect's entry is never later than its end

    @property
    def open(self) -> int:
        """Incidents open now."""
        return sum(suspect.is_open for suspect in self._suspects.values())

    def observe(self, windows: Windows, scored: Scored) -> list[Alert]:
        """Take in scored windows, in the order in which they closed; returns the alerts they cause."""
        alerts: list[Alert] = []
        weight = weights(scored.p_value, self._config.drift, self._config.cap)
        odd = weight > 0
        for row in range(len(weight) if self._suspects or odd.any() else 0):
            at = int(scored.index[row])
            key = int(windows.kind[at]), int(windows.id_hi[at]), int(windows.id_lo[at])
            if odd[row]:
                alerts += self.tick(int(windows.last_us[at]))
                alerts += self._evidence(windows, scored, at, row, key, float(weight[row]))
            elif key in self._suspects:
                self._calm(key, int(windows.last_us[at]), float(weight[row]))
        return alerts

    def tick(self, now_us: int) -> list[Alert]:
        """Let time pass: close what has been quiet, forget faded drafts."""
        alerts = []
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
                alerts.append(self._alert(suspect.incident, "end", self._ends_us(suspect)))
        return alerts

    def _ends_us(self, suspect: _Suspect) -> int:
        """When a suspect is forgotten if nothing more is seen of it."""
        silence_s = self._config.close_after_s if suspect.is_open else _FADED * self._config.half_life_s
        return suspect.incident.last_us + int(silence_s * SECOND_US)

    def _remind(self, key: Key, suspect: _Suspect) -> None:
        """Look at a suspect again when it may end; reminders of suspects that are gone are thrown away in time."""
        heappush(self._due, (self._ends_us(suspect), key))
        if len(self._due) > 4 * len(self._suspects) + _MOST_STALE:
            self._due = [(self._ends_us(one), key) for key, one in self._suspects.items()]
            heapify(self._due)

    def finish(self) -> list[Alert]:
        """End of the stream: close every open incident."""
        alerts = [
            self._alert(suspect.incident, "end", suspect.incident.last_us)
            for suspect in self._suspects.values()
            if suspect.is_open
        ]
        self._suspects.clear()
        self._due.clear()
        return alerts

    def _evidence(self, windows: Windows, scored: Scored, at: int, row: int, key: Key, weight: float) -> list[Alert]:
        ts_us = int(windows.last_us[at])
        suspect = self._suspect(key, windows, at)
        if not suspect.is_open and suspect.evidence.left(ts_us) < _FAINT:
            suspect.incident = self._draft(windows, at)
        incident = suspect.incident
        level = suspect.evidence.add(ts_us, weight)
        sighting = Sighting(
            ts_us=ts_us,
            first_us=int(windows.first_us[at]),
            score=float(scored.score[row]),
            p_value=float(scored.p_value[row]),
            peer=ip_text(int(windows.peer_hi[at]), int(windows.peer_lo[at])),
            port=int(windows.peer_port[at]),
            family=vote(dict(zip(self._bundle.schema.columns, windows.features[at].tolist(), strict=True))),
        )
        if incident.note(sighting):
            incident.reasons = explain(windows.features[at], scored.errors[row], self._bundle)
        if not suspect.is_open:
            if level < self._open_level:
                return []
            suspect.is_open = True
            self._remind(key, suspect)
            self.opened += 1
            return [self._alert(incident, "new", ts_us)]
        if ts_us - incident.told_us >= self._config.update_every_s * SECOND_US:
            return [self._alert(incident, "update", ts_us)]
        return []

    def _calm(self, key: Key, ts_us: int, weight: float) -> None:
        """A benign window of a suspect draws its evidence down; a draft without evidence is forgotten."""
        suspect = self._suspects[key]
        if not suspect.evidence.add(ts_us, weight) and not suspect.is_open:
            del self._suspects[key]

    def _suspect(self, key: Key, windows: Windows, at: int) -> _Suspect:
        suspect = self._suspects.get(key)
        if suspect is None:
            suspect = _Suspect(Evidence(self._config.half_life_s), self._draft(windows, at))
            self._suspects[key] = suspect
            self._remind(key, suspect)
        return suspect

    def _draft(self, windows: Windows, at: int) -> Incident:
        """An incident that may come of a window."""
        first_us = int(windows.first_us[at])
        return Incident(
            id=ulid(first_us, self._rng),
            endpoint=describe_endpoint(windows, at),
            first_us=first_us,
            last_us=first_us,
            told_us=first_us,
        )

    def _alert(self, incident: Incident, state: Literal["new", "update", "end"], now_us: int) -> Alert:
        incident.told_us = now_us
        seq, incident.seq = incident.seq, incident.seq + 1
        peers, family = incident.peers, elect(incident.votes)
        seconds = (incident.last_us - incident.first_us) / SECOND_US
        return Alert(
            schema=ALERT_SCHEMA,
            id=incident.id,
            seq=seq,
            boot=self._boot,
            state=state,
            ts=time_text(now_us),
            first_seen=time_text(incident.first_us),
            last_seen=time_text(incident.last_us),
            windows=incident.windows,
            severity_id=severity(incident.score / self._threshold),
            score=incident.score,
            threshold=self._threshold,
            p_value=incident.p_value,
            family=family,
            endpoint=incident.endpoint,
            reasons=incident.reasons,
            peers=peers,
            ports=incident.ports,
            model=self._model,
            text=sentence(
                self._bundle.schema, incident.endpoint, family, incident.reasons, peers, incident.windows, seconds
            ),
        )


def severity(ratio: float) -> int:
    """OCSF severity 2 (low) to 5 (critical) of a score that is ``ratio`` times its threshold."""
    return 2 + sum(ratio >= limit for limit in _SEVERITY_RATIOS)


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
