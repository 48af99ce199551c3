"""A group of commands that imports each only when it is used: start-up stays fast and light."""

from __future__ import annotations

import importlib
from typing import Any

import click

from emtc_agent.errors import OneLineErrors


class LazyGroup(OneLineErrors):
    """Commands that live in modules of their names; errors end in one line.

    Args:
        package: Where the modules are; each holds a command of the module's name.
        names: The commands, in the order of ``--help``.
        options: For ``click.Group``.
    """

    def __init__(self, package: str, names: tuple[str, ...], **options: Any) -> None:
        super().__init__(**options)
        self._package = package
        self._names = names

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return list(self._names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported."""
        if cmd_name not in self._names:
            return None
        command: click.Command = getattr(importlib.import_module(f"{self._package}.{cmd_name}"), cmd_name)
        return command
