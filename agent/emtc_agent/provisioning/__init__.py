"""From one fleet list: settings, keys and certificates for every gateway, and the broker's rules."""

from __future__ import annotations

from emtc_agent.provisioning.fleet import Fleet, load_fleet
from emtc_agent.provisioning.folders import Outcome, provision_fleet

__all__ = ["Fleet", "Outcome", "load_fleet", "provision_fleet"]
