"""Packet columns: one array per header field, decoded for a whole batch at once."""

from emtc_agent.columns.columns import L3, Columns, Mark, Other
from emtc_agent.columns.decode import decode
from emtc_agent.columns.hints import Hint, Hints, read_hints

__all__ = ["L3", "Columns", "Hint", "Hints", "Mark", "Other", "decode", "read_hints"]
