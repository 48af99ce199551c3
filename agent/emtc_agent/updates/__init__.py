"""Model updates: signed announcements in, tested bundles out, and back again when a new model misbehaves."""

from emtc_agent.updates.config import UpdateConfig
from emtc_agent.updates.intake import Switch
from emtc_agent.updates.updater import Updater

__all__ = ["Switch", "UpdateConfig", "Updater"]
