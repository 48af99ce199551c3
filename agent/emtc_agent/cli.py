"""``emtc-agent``: watch an interface, replay captures, extract features, follow incidents."""

from __future__ import annotations

import importlib

import click

from emtc_agent import __version__
from emtc_agent.errors import OneLineErrors

_COMMANDS = {
    "run": "emtc_agent.commands.run",
    "replay": "emtc_agent.commands.replay",
    "extract": "emtc_agent.commands.extract",
    "schema": "emtc_agent.commands.schema",
    "watch": "emtc_agent.commands.watch",
}


class _LazyCommands(OneLineErrors):
    """Imports a command's module only when it is used: start-up stays fast and light."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name])
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command


@click.command(cls=_LazyCommands)
@click.version_option(__version__, package_name="emtc-guard")
def main() -> None:
    """Watch IoT devices behind an LTE-M gateway: offline on captures, live on an interface."""
