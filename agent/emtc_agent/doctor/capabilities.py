"""Whether this process may capture: CAP_NET_RAW, see capabilities(7)."""

from __future__ import annotations

from pathlib import Path

from emtc_agent.doctor.finding import Finding
from emtc_agent.health.process import fields

_CAP_NET_RAW = 13
_FIX = (
    "In the systemd unit set AmbientCapabilities=CAP_NET_RAW and CapabilityBoundingSet=CAP_NET_RAW; by hand, run "
    "as root, or on the interpreter that runs the agent: setcap cap_net_raw+ep PYTHON."
)


def check_capabilities(status: Path = Path("/proc/self/status")) -> list[Finding]:
    """Whether CAP_NET_RAW is in the effective set that ``status`` shows."""
    effective = int(fields(status).get("CapEff", "0"), 16)
    if effective >> _CAP_NET_RAW & 1:
        return [Finding("capabilities", "ok", "CAP_NET_RAW: this user may capture")]
    return [Finding("capabilities", "problem", "CAP_NET_RAW is missing: this user may not capture", _FIX)]
