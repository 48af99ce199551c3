"""How command-line programs end on an error: one line on stderr and the error's exit code."""

from __future__ import annotations

import sys
from typing import Any

import click

from emtc_contract.errors import EmtcError


class OneLineErrors(click.Group):
    """A click group whose commands may raise ``EmtcError``."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an ``EmtcError`` becomes one line and an exit code."""
        try:
            return super().invoke(ctx)
        except EmtcError as error:
            fail(ctx, str(error), error.exit_code)
        except MemoryError:
            fail(ctx, "out of memory", 1)
        except BrokenPipeError:
            sys.stderr.close()  # the reader has gone: nothing more to say to it
            ctx.exit(0)


def fail(ctx: click.Context, message: str, exit_code: int) -> None:
    """Print ``program: message`` as one line on stderr and end with ``exit_code``."""
    one_line = " ".join(message.split())
    click.echo(f"{ctx.find_root().info_name}: {one_line}", err=True)
    ctx.exit(exit_code)
