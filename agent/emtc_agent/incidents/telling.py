"""When an incident is told again, and what an alert says about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from emtc_agent.addresses import time_text
from emtc_agent.incidents.evidence import SECOND_US
from emtc_agent.incidents.family import elect
from emtc_agent.incidents.incident import Incident
from emtc_agent.incidents.suppression import Suppression
from emtc_agent.incidents.wording import sentence
from emtc_contract.messages import ALERT_SCHEMA, Alert, Model
from emtc_contract.schema import FeatureSchema

State = Literal["new", "update", "end"]
_SEVERITY_RATIOS = (1.5, 3.0, 10.0)  # score / threshold above which severity rises from 2 to 5
_WORSE_AFTER_US = SECOND_US
"""Least time after which a rise in severity is told at once."""


@dataclass(slots=True)
class Teller:
    """Makes alerts of incidents.

    Attributes:
        schema: Meaning of the features in the reasons.
        model: What scored, as alerts tell it.
        threshold: Score that alerts tell as the usual limit; severity is by the ratio to it.
        boot: Id of this run.
        update_every_s: Least time to the first update; each later one waits twice as long ...
        update_at_most_every_s: ... up to this.
        suppression: What is not told.
        shift_us: What makes wall-clock time of stream time.
    """

    schema: FeatureSchema
    model: Model
    threshold: float
    boot: str
    update_every_s: float
    update_at_most_every_s: float
    suppression: Suppression
    shift_us: int = 0

    def is_due(self, incident: Incident, now_us: int) -> bool:
        """Whether an open incident should be told again."""
        since_us = now_us - incident.told_us
        if since_us < _WORSE_AFTER_US:
            return False
        if self.severity(incident) > incident.told_severity:
            return True
        wait_s = min(self.update_every_s * 2.0 ** min(incident.updates, 30), self.update_at_most_every_s)
        return not incident.acknowledged and since_us >= wait_s * SECOND_US

    def tell(self, incident: Incident, state: State, now_us: int) -> list[Alert]:
        """The alert, or none while a rule hides the incident.

        What is told first is ``new``, whenever that is; what was told is also told to end.
        """
        severity_now = self.severity(incident)
        incident.told_us, incident.told_severity = now_us, severity_now
        ends_what_was_told = state == "end" and incident.seq > 0
        if not ends_what_was_told and (state == "end" or self.suppression.hides(incident, now_us)):
            return []
        if not incident.seq:
            state = "new"
        else:
            incident.updates += 1
        seq, incident.seq = incident.seq, incident.seq + 1
        return [self._alert(incident, state, now_us, seq, severity_now)]

    def severity(self, incident: Incident) -> int:
        """OCSF severity of an incident by its worst window."""
        return severity(incident.score / self.threshold)

    def _alert(self, incident: Incident, state: State, now_us: int, seq: int, severity_id: int) -> Alert:
        peers, family = incident.peers, elect(incident.votes)
        seconds = (incident.last_us - incident.first_us) / SECOND_US
        return Alert(
            schema=ALERT_SCHEMA,
            id=incident.id,
            seq=seq,
            boot=self.boot,
            state=state,
            ts=time_text(now_us + self.shift_us),
            first_seen=time_text(incident.first_us + self.shift_us),
            last_seen=time_text(incident.last_us + self.shift_us),
            windows=incident.windows,
            severity_id=severity_id,
            score=incident.score,
            threshold=self.threshold,
            p_value=incident.p_value,
            family=family,
            endpoint=incident.endpoint,
            reasons=incident.reasons,
            peers=peers,
            ports=incident.ports,
            model=self.model,
            text=sentence(self.schema, incident, family, seconds),
        )


def severity(ratio: float) -> int:
    """OCSF severity 2 (low) to 5 (critical) of a score that is ``ratio`` times its threshold."""
    return 2 + sum(ratio >= limit for limit in _SEVERITY_RATIOS)
