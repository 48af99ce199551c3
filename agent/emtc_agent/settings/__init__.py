"""The daemon's settings: one strict TOML file."""

from emtc_agent.settings.model import Settings
from emtc_agent.settings.reading import load_settings, parse_settings

__all__ = ["Settings", "load_settings", "parse_settings"]
