"""Incidents in words: one sentence that names what was unusual, by how much, and with whom."""

from __future__ import annotations

from emtc_agent.incidents.incident import Incident
from emtc_contract.messages import Endpoint, Family, Reason
from emtc_contract.schema import FeatureSchema

_REASONS_TOLD = 3
_FAMILY = {
    "recon": "a scan",
    "flood": "a flood",
    "brute force": "password guessing",
    "spoofing": "spoofing",
    "exfiltration": "data hidden in DNS names",
}


def sentence(schema: FeatureSchema, incident: Incident, family: Family, seconds: float) -> str:
    """E.g. "10.0.0.7 (02:..:07) looks like a scan: remote ports 32 (usual 1 to 4), ...; 38 windows in 12 s".

    Args:
        schema: Meaning and unit of each feature.
        incident: What it is about.
        family: Guess at the kind of attack.
        seconds: Time from the first to the last of its windows.
    """
    peers, windows = incident.peers, incident.windows
    told = ", ".join(_reason(schema, reason) for reason in incident.reasons[:_REASONS_TOLD]) or "unusual traffic"
    leads = bool(peers) and 2 * peers[0].windows >= incident.looked
    with_whom = f"; mostly with {peers[0].ip}" if leads else ""
    number = "1 window" if windows == 1 else f"{windows} windows"
    verdict = f"looks like {_FAMILY[family.name]}" if family.name in _FAMILY else "is unusual"
    return f"{_name(incident.endpoint)} {verdict}: {told}{with_whom}; {number} in {seconds:.0f} s"


def _name(endpoint: Endpoint) -> str:
    return f"{endpoint.ip} ({endpoint.mac})" if endpoint.mac and endpoint.ip else endpoint.ip or endpoint.id


def _reason(schema: FeatureSchema, reason: Reason) -> str:
    feature = schema.features[schema.index(reason.feature)]
    value, low, high = (
        _amount(number, feature.unit) for number in (reason.value, reason.usual_low, reason.usual_high)
    )
    usual = f"usual {low}" if low == high else f"usual {low} to {high}"
    return f"{feature.title} {value} ({usual})"


def _amount(value: float, unit: str) -> str:
    if unit == "share":
        return f"{value:.0%}"
    number = f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
    return number if unit == "count" else f"{number} {unit}"
