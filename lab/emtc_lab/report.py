"""What a run leaves beside its capture: labels, actions, lock file, summary, programs' output."""

from __future__ import annotations

import csv
import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from emtc_lab.conduct import Conductor
from emtc_lab.labels import LABELS, LEAST_PACKETS, Label, write_labels
from emtc_lab.overview import SUMMARY
from emtc_lab.plan import Plan
from emtc_lab.processes import PACKAGES
from emtc_lab.scenario import Scenario
from emtc_lab.verify import Capture

_LIBRARIES = ("emtc-guard", "paho-mqtt", "aiocoap", "pymodbus", "asyncssh")
_LOG_TAIL = 2000


def write_lock(path: Path, scenario: Scenario, seed: int, plan: Plan) -> None:
    """``scenario.lock.toml``: the scenario with all defaults, the seed, what followed from it, and versions."""
    devices = [
        {"name": spec.name, "kind": spec.kind, "ip": spec.ip, "mac": host.mac}
        | _plain(spec.personality)
        | {"moments": list(spec.moments), "outages": list(outages)}
        for spec, host, outages in zip(plan.specs, plan.hosts, plan.outages, strict=True)
    ]
    table: dict[str, Any] = {
        "seed": seed,
        "minutes": round(plan.seconds / 60, 2),
        "network": plan.site.network,
        "gateway": plan.site.gateway.ip,
        "attacker": f"{plan.site.attacker.ip};{plan.site.attacker.mac}",
        "impossible": list(plan.impossible),
        "events": [[event.at_s, event.name] for event in plan.events],
        "scenario": _plain(scenario),
        "versions": _versions(),
        "device": devices,
    }
    path.write_text(to_toml(table))


def write_results(
    out: Path, work: Path, plan: Plan, conductor: Conductor, failed: list[str], say: Callable[[str], None]
) -> None:
    """Labels that the capture of each view bears out, the summary, and what the programs said."""
    counts: dict[str, Any] = {}
    for capture_file in sorted(out.rglob("capture.pcap")):
        view = str(capture_file.parent.relative_to(out)).replace(".", "ethernet")
        capture = Capture.read(capture_file)
        kept, dropped = _borne_out(conductor.labels, capture)
        write_labels(capture_file.with_name(LABELS), kept)
        counts[view] = {
            "packets": capture.packets,
            "seconds": round(capture.seconds, 1),
            "wire_bytes": capture.wire_bytes,
            "attacks": len(kept),
            "without_packets": [f"{label.type} {label.style}" for label in dropped],
        }
        say(f"{view}: {capture.packets} packets in {capture.seconds:.0f} s, {len(kept)} attacks labelled")
    actions = _write_actions(out / "actions.csv", plan, work)
    summary = {
        "devices": len(plan.specs),
        "actions": actions,
        "attacks_planned": len(plan.steps),
        "attacks_void": conductor.void,
        "programs_that_failed": failed,
        "emulator": _last_line(work / "emulator.log"),
        "recorder": {log.stem: _last_line(log) for log in sorted(work.glob("sniff*.log"))},
        "view": counts,
    }
    (out / SUMMARY).write_text(to_toml(summary))
    logs = sorted(work.glob("*.log"))
    text = "".join(f"== {log.stem}\n{_without_actions(log)[-_LOG_TAIL:]}\n" for log in logs)
    (out / "programs.log").write_text(text)


def _borne_out(labels: list[Label], capture: Capture) -> tuple[list[Label], list[Label]]:
    kept: list[Label] = []
    dropped: list[Label] = []
    for label in labels:
        enough = capture.count(label.evidence, label.start_us, label.end_us) >= LEAST_PACKETS
        (kept if enough else dropped).append(label)
    return kept, dropped


def _write_actions(path: Path, plan: Plan, work: Path) -> int:
    """``actions.csv``: what each device did, in its order; planned time in s."""
    amount = 0
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["device", "kind", "at_s", "action"])
        for spec in plan.specs:
            for line in (work / f"device-{spec.name}.log").read_text(errors="replace").splitlines():
                match line.split(" "):
                    case ["action", at, action]:
                        rows.writerow([spec.name, spec.kind, at, action])
                        amount += 1
    return amount


def _without_actions(log: Path) -> str:
    return "\n".join(line for line in log.read_text(errors="replace").splitlines() if not line.startswith("action "))


def _last_line(log: Path) -> str:
    return log.read_text(errors="replace").strip().rpartition("\n")[2]


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "kernel": platform.release()}
    for name in _LIBRARIES:
        versions[name] = importlib.metadata.version(name)
    packages = sorted(set(PACKAGES.values()))
    query = ("dpkg-query", "-W", "-f", "${Package} ${Version}\n", *packages)
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return versions | dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def _plain(value: object) -> dict[str, Any]:
    table: dict[str, Any] = msgspec.to_builtins(value)
    return table


def to_toml(table: dict[str, Any], prefix: str = "") -> str:
    """A table of plain values, lists, tables and lists of tables as TOML; None is left out."""
    lines, below = [], []
    for key, value in table.items():
        name = f"{prefix}{key if key.replace('-', '').replace('_', '').isalnum() else json.dumps(key)}"
        if isinstance(value, dict):
            below.append(f"\n[{name}]\n{to_toml(value, f'{name}.')}")
        elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            below += [f"\n[[{name}]]\n{to_toml(entry, f'{name}.')}" for entry in value]
        elif value is not None:
            lines.append(f"{name.removeprefix(prefix)} = {json.dumps(value)}\n")
    return "".join(lines) + "".join(below)
