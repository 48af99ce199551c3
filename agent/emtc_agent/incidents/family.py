"""A first guess at the family of attack, from the reasons alone; honest about being a guess."""

from __future__ import annotations

from collections.abc import Sequence

from emtc_contract.messages import Family, Reason

UNKNOWN = Family(name="unknown", confidence=0.0)

_SIGNS = {
    "recon": {
        "remote_ports",
        "local_ports",
        "remotes",
        "unreachable_share",
        "arp_share",
        "rst_in_share",
        "rst_share",
    },
    "flood": {"packets_per_s", "burst_share", "syn_unanswered_share", "syn_share", "icmp_share", "fragment_share"},
    "brute force": {"login_share", "telnet_share", "shell_share", "mqtt_connect_share", "mqtt_refused_share"},
    "spoofing": {"arp_unasked_share", "arp_conflicts", "dns_double_answers", "ttl_spread"},
    "tunnel": {"dns_name_len", "dns_txt_share", "dns_nxdomain_share"},
}
_LEAST_SHARE = 0.3


def guess_family(reasons: Sequence[Reason]) -> Family:
    """The family whose signs carry most of the error, or unknown if none carries at least 30 %."""
    shares = {
        name: sum(reason.share for reason in reasons if reason.feature in signs) for name, signs in _SIGNS.items()
    }
    name = max(shares, key=lambda family: shares[family])
    if shares[name] < _LEAST_SHARE:
        return UNKNOWN
    return Family(name=name, confidence=round(min(shares[name], 1.0), 2))
