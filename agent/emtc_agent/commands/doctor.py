"""``emtc-agent doctor``: does everything that the settings name work here?"""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from emtc_agent.doctor import run_checks, worst
from emtc_agent.doctor.plan import plan

_PROBLEM = 2


@click.command()
@click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Settings of this gateway."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def doctor(ctx: click.Context, config: Path | None, as_json: bool) -> None:
    """Check capabilities, interfaces, model, clock, disk and broker, and say what to do about what is wrong.

    Run it as the agent's user, on the gateway; nothing is changed, and beside a running agent the broker is
    asked for everything but a session. Exit code 0
    if there is no problem (warnings are none), 2 otherwise. Credentials that systemd hands to the service are there
    only if it hands them to the doctor as well:
    systemd-run --pipe -p User=emtc -p LoadCredential=... emtc-agent doctor.
    """
    findings = list(run_checks(plan(config)))
    if as_json:
        report = {"level": worst(findings), "findings": findings}
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        from rich.console import Console

        from emtc_agent.doctor.table import show_findings

        show_findings(findings, Console())
    if worst(findings) == "problem":
        ctx.exit(_PROBLEM)
