"""The classes of CICIoT2023 by the names that its releases give them: 33 attacks in 7 families, and benign traffic.

Spelling differs between the releases (``BenignTraffic``, ``BENIGN``, ``Benign_Final``; capitals in the merged
files), so names are compared by their letters only.
"""

from __future__ import annotations

import re
from pathlib import Path

BENIGN = ""
_FLOOD_FAMILIES = frozenset({"DDoS", "DoS", "Mirai", "flood"})  # the last is the lab's
_LAB_FLOODS = frozenset({"mirai/mirai-udp-plain", "mirai/mirai-gre"})

_TYPES = {
    "DDoS": (
        "ACK_Fragmentation ICMP_Flood ICMP_Fragmentation HTTP_Flood PSHACK_Flood RSTFINFlood SYN_Flood SlowLoris "
        "SynonymousIP_Flood TCP_Flood UDP_Flood UDP_Fragmentation"
    ),
    "DoS": "HTTP_Flood SYN_Flood TCP_Flood UDP_Flood",
    "Mirai": "greeth_flood greip_flood udpplain",
    "Recon": "HostDiscovery OSScan PingSweep PortScan VulnerabilityScan",
    "Spoofing": "DNS_Spoofing MITM-ArpSpoofing",
    "Web": "Backdoor_Malware BrowserHijacking CommandInjection SqlInjection Uploading_Attack XSS",
    "BruteForce": "DictionaryBruteForce",
}
_PREFIXED = frozenset({"DDoS", "DoS", "Mirai", "Recon"})


def _letters(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower())


def _known() -> dict[str, str]:
    labels = dict.fromkeys(("benign", "benigntraffic", "benignfinal"), BENIGN)
    for family, types in _TYPES.items():
        for name in types.split():
            labels[_letters(name if family not in _PREFIXED else family + name)] = f"{family}/{name}"
    labels["vulnerabilityscan"] = labels.pop("reconvulnerabilityscan")
    return labels


_LABELS = _known()
CLASSES = frozenset(_LABELS.values())
"""Every label of CICIoT2023."""


def label_of(name: str) -> str | None:
    """``"family/type"`` of a class as the files call it, ``""`` for benign, None if there is no such class.

    Labels of our own lab, already of that form, stand for themselves.
    """
    return name if "/" in name else _LABELS.get(_letters(name))


def label_of_file(path: Path) -> str | None:
    """The class of a file that holds one only, by its name (``DDoS-ICMP_Flood12.pcap.csv``) or its folder's."""
    for name in (path.name.split(".")[0], path.parent.name):
        if (label := label_of(name)) is not None:
            return label
    return None


def is_flood(label: str) -> bool:
    """Whether rows of a label are over 100 frames; all others, benign traffic too, are over 10."""
    return label.split("/")[0] in _FLOOD_FAMILIES or label in _LAB_FLOODS
