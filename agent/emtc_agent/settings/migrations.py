"""Older layouts of the settings file, brought up to date step by step: entry n turns version n into n + 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from emtc_agent.settings.model import VERSION

Raw = dict[str, Any]
MIGRATIONS: dict[int, Callable[[Raw], Raw]] = {}
"""None yet: version 1 is the first."""


def migrate(raw: Raw, migrations: dict[int, Callable[[Raw], Raw]] | None = None, to: int = VERSION) -> Raw:
    """The settings in the layout of version ``to``; a version that is unknown stays, and is refused later."""
    steps = MIGRATIONS if migrations is None else migrations
    version = raw.get("version", to)
    while isinstance(version, int) and version < to and version in steps:
        raw = steps[version](raw)
        version += 1
        raw = {**raw, "version": version}
    return raw
