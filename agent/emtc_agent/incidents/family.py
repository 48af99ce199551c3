"""A first guess at the family of attack: each unusual window votes by plain rules, the incident counts votes.

The confidence is the share of the incident's windows that voted for the family, nothing more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from emtc_contract.messages import Family

UNKNOWN = "unknown"
Values = Mapping[str, float]  # feature name -> raw value of one window


def _spoofing(v: Values) -> bool:
    return v["arp_conflicts"] > 0 or v["arp_unasked_share"] > 0.2 or v["dns_double_answers"] > 0


def _exfiltration(v: Values) -> bool:
    """Data hidden in names: DNS with long names or with answers that carry text."""
    return v["dns_share"] >= 0.3 and (v["dns_name_len"] > 60 or v["dns_txt_share"] > 0.2)


def _brute_force(v: Values) -> bool:
    logins = v["login_share"] > 0 and v["telnet_share"] + v["shell_share"] > 0.5 and v["remotes"] <= 2
    return logins or v["mqtt_refused_share"] > 0.02


def _recon(v: Values) -> bool:
    """Many doors tried at one house, or one door at many."""
    ports = max(v["remote_ports"], v["local_ports"])
    sweeps = v["remotes"] >= 8 and v["arp_share"] > 0.5
    many_sources = v["remotes"] > 8 and v["local_ports"] <= 2  # that is a flood with forged senders
    return sweeps or (v["syn_unanswered_share"] > 0.25 and ports >= 4 and not many_sources)


def _flood(v: Values) -> bool:
    return v["packets_per_s"] >= 200 and v["packets"] >= 16


# In this order: what is rarer in benign traffic, and so says more, comes first.
_RULES: dict[str, Callable[[Values], bool]] = {
    "spoofing": _spoofing,
    "exfiltration": _exfiltration,
    "brute force": _brute_force,
    "recon": _recon,
    "flood": _flood,
}


def vote(values: Values) -> str:
    """The family a window looks like, or ``unknown``; also where the schema lacks the features to tell."""
    try:
        return next((name for name, applies in _RULES.items() if applies(values)), UNKNOWN)
    except KeyError:
        return UNKNOWN


def elect(votes: Counter[str]) -> Family:
    """The family with most votes."""
    if not votes:
        return Family(name=UNKNOWN, confidence=0.0)
    name, number = votes.most_common(1)[0]
    confidence = 0.0 if name == UNKNOWN else round(number / votes.total(), 2)
    return Family(name=name, confidence=confidence)
