"""Incidents: evidence about one endpoint, gathered over seconds, opened, updated and closed."""

from emtc_agent.incidents.tracker import IncidentConfig, IncidentTracker

__all__ = ["IncidentConfig", "IncidentTracker"]
