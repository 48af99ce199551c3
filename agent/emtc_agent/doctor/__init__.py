"""``emtc-agent doctor``: does what the settings name work on this machine? One file per subject; nothing is changed.

Each check takes plain arguments and returns findings; ``plan`` is the only one that knows the settings.
"""

from emtc_agent.doctor.finding import Finding, Level, worst
from emtc_agent.doctor.running import Check, run_checks

__all__ = ["Check", "Finding", "Level", "run_checks", "worst"]
