"""The two feature schemas of CICIoT2023, as its extractors really compute them.

``ciciot2023-39`` is what the per-attack and merged CSV files of 2024 hold, ``ciciot2023-46`` the first release's
files and the paper. Names are those of the files, also where they mislead: the meaning says what the column holds.
Windows are consecutive frames of the whole capture; both extractors know IPv4 and ARP only. Captures were cut into
pieces of 10 MB, and every state starts anew in each.
"""

from __future__ import annotations

from emtc_contract.schema import Feature, FeatureSchema, WindowSpec

BENIGN_WINDOW = 10
"""Frames per window of the benign class; the floods were cut by 100, which gives their class away."""

RATE_LIMIT = 15_728_640.0
"""Largest finite rate in the official files; stands for an infinite one before a model."""

_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "ECE", "CWR")


def _log(name: str, unit: str, title: str, meaning: str) -> Feature:
    return Feature(name, unit, title, meaning, scale="log")


def _share(name: str, what: str) -> Feature:
    return Feature(name, "share", what, f"share of frames: {what}")


_FLAG_SHARES = tuple(_share(f"{flag.lower()}_flag_number", f"TCP with {flag}") for flag in _FLAGS)
_TCP_PORTS = tuple(
    _share(name, f"TCP port {port} on either side")
    for name, port in (("HTTP", 80), ("HTTPS", 443), ("Telnet", 23), ("SMTP", 25), ("SSH", 22), ("IRC", 21))
)
_DNS = _share("DNS", "UDP port 53 on either side")
_SERVICES = (*_TCP_PORTS[:2], _DNS, *_TCP_PORTS[2:])
_KIND_SHARES = (_share("TCP", "decoded as TCP"), _share("UDP", "decoded as UDP"))
_IPV4_SHARES = (_share("IPv", "IPv4"), _share("LLC", "IPv4 (a copy of IPv)"))


def _flow_count(name: str, flag: str) -> Feature:
    return Feature(
        name,
        "count",
        f"{flag}s of the flow",
        f"mean over frames of the flow's {flag} flags so far, 0 without flow",
        "log",
    )


CICIOT2023_46 = FeatureSchema(
    name="ciciot2023-46",
    version=1,
    window=WindowSpec(scope="capture", packets=BENIGN_WINDOW),
    features=(
        _log("flow_duration", "s", "age of flows", "mean age of the frame's TCP/UDP flow, 0 without flow"),
        _log("Header_Length", "B", "bytes of flows", "mean bytes of the frame's flow so far, both directions"),
        Feature("Protocol Type", "number", "IP protocol", "mean IPv4 protocol number, ARP 0"),
        Feature("Duration", "hops", "TTL", "mean IPv4 TTL, ARP 0"),
        _log("Rate", "1/s", "rate of flows", "mean packets per second of the flow, or that of an earlier frame"),
        _log("Srate", "1/s", "rate of flows (copy)", "a copy of Rate"),
        _log("Drate", "1/s", "rate of self-talk", "Rate of flows from an address and port to itself, else 0"),
        *_FLAG_SHARES,
        _flow_count("ack_count", "FIN"),
        _flow_count("syn_count", "SYN"),
        _flow_count("fin_count", "RST"),
        _flow_count("urg_count", "PSH"),
        _flow_count("rst_count", "ACK"),
        *_SERVICES,
        *_KIND_SHARES,
        _share("DHCP", "UDP from port 67 or to port 68"),
        _share("ARP", "ARP"),
        _share("ICMP", "IPv4 protocol 1"),
        *_IPV4_SHARES,
        _log("Tot sum", "B", "bytes of the cycle", "mean sum of sizes in the frame's cycle of 20 so far"),
        _log("Min", "B", "smallest of the cycle", "mean smallest size in the cycle so far"),
        _log("Max", "B", "largest of the cycle", "mean largest size in the cycle so far"),
        _log("AVG", "B", "mean size of the cycle", "mean of the mean size in the cycle so far"),
        _log("Std", "B", "spread of sizes", "mean population standard deviation of sizes in the cycle so far"),
        _log("Tot size", "B", "frame size", "mean frame size without padding"),
        _log("IAT", "s", "gap or absolute time", "mean gap to the frame before; every 20th is the time since 1970"),
        Feature("Number", "count", "position in the cycle", "mean position in the cycle of 20, the 20th counts 0"),
        _log("Magnitue", "sqrt B", "magnitude", "mean sqrt(2 x mean size in the cycle; the 20th is left out)"),
        _log("Radius", "B", "radius", "mean sqrt(2 x population variance of sizes in the cycle)"),
        _log("Covariance", "B^2", "variance of sizes", "mean population variance of sizes in the cycle"),
        Feature("Variance", "share", "mixed sizes", "share of frames whose cycle holds different sizes"),
        Feature("Weight", "count", "squared position", "mean squared length of the cycle"),
    ),
)


def _window_count(name: str, flag: str) -> Feature:
    return _log(name, "count", f"{flag}s", f"frames with TCP {flag}")


CICIOT2023_39 = FeatureSchema(
    name="ciciot2023-39",
    version=1,
    window=WindowSpec(scope="capture", packets=BENIGN_WINDOW),
    features=(
        Feature(
            "Header_Length", "B", "transport header", "mean TCP (with options) or UDP header length, 0 for others"
        ),
        Feature(
            "Protocol Type",
            "number",
            "IP protocol",
            "most frequent IPv4 protocol number, ARP 0; the smallest on ties",
        ),
        Feature("Time_To_Live", "hops", "TTL", "mean IPv4 TTL, ARP 0"),
        _log("Rate", "1/s", "frames per second", "frames over the time from first to last; infinite for no time"),
        *_FLAG_SHARES,
        _window_count("ack_count", "ACK"),
        _window_count("syn_count", "SYN"),
        _window_count("fin_count", "FIN"),
        _window_count("rst_count", "RST"),
        *_SERVICES,
        *_KIND_SHARES,
        _share("DHCP", "UDP between ports 67 and 68"),
        _share("ARP", "ARP"),
        _share("ICMP", "IPv4 protocol 1"),
        _share("IGMP", "IPv4 protocol 2"),
        *_IPV4_SHARES,
        _log("Tot sum", "B", "bytes", "sum of captured frame lengths, padding included"),
        _log("Min", "B", "smallest frame", "smallest captured frame length"),
        _log("Max", "B", "largest frame", "largest captured frame length"),
        _log("AVG", "B", "mean frame", "mean captured frame length"),
        _log("Std", "B", "spread of frames", "sample standard deviation of frame lengths; NaN for one frame"),
        _log("Tot size", "B", "mean frame (copy)", "a copy of AVG"),
        _log("IAT", "s", "gap", "mean gap to the frame before, also that of the window before; 0 for a first one"),
        Feature("Number", "count", "frames", "frames in the window"),
        _log("Variance", "B^2", "variance of frames", "sample variance of frame lengths; NaN for one frame"),
    ),
)
