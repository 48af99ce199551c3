"""Whether there is a model, whose it is, and whether something here runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from emtc_agent.detector import RUNTIMES, load_bundle
from emtc_agent.doctor.finding import Finding
from emtc_contract.errors import EmtcError

_RUN_TIMEOUT_S = 30.0
_INSTALL = "Install one: pip install 'emtc-guard[litert]' or 'emtc-guard[agent]'; 32-bit ARM: [tflite-runtime]."
_MOST_CHARACTERS = 200


def check_bundle(path: Path, keys: Sequence[Path] = (), *, shipped: bool = False) -> list[Finding]:
    """Whether a bundle loads: digests, schema, and with keys the signature; the shipped one came with the agent."""
    try:
        manifest = load_bundle(path, keys).manifest
    except EmtcError as error:
        fix = "Copy the bundle again with its .minisig, or correct bundle and keys in [model]."
        return [Finding("bundle", "problem", str(error), fix)]
    what = f"{manifest.name} version {manifest.version} for {manifest.schema_name}"
    if keys or shipped:
        return [Finding("bundle", "ok", f"{what}, {'shipped' if shipped else 'signed'}")]
    fix = "Name the maker's public key as keys in [model]."
    return [
        Finding("bundle", "ok", what),
        Finding("bundle signature", "warning", "not checked: without keys anybody's bundle is taken", fix),
    ]


def check_runtime(
    path: Path,
    keys: Sequence[Path] = (),
    name: str | None = None,
    precision: str | None = None,
    threads: int = 1,
) -> list[Finding]:
    """Which runtimes are installed, and which one scores the bundle's model here.

    It is tried in a process of its own: native code made for another processor ends the process that loads it.
    """
    installed = ", ".join(kind.name for kind in RUNTIMES if kind.installed)
    if not installed:
        return [Finding("runtime", "problem", "no inference runtime is installed", _INSTALL)]
    request = json.dumps([str(path), [str(key) for key in keys], name, precision, threads])
    command = [sys.executable, "-m", "emtc_agent.doctor.trial", request]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_RUN_TIMEOUT_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return [_failed(f"no score within {_RUN_TIMEOUT_S:g} s", installed)]
    if done.returncode:
        return [_failed(_why(done.returncode, done.stderr), installed)]
    return [Finding("runtime", "ok", f"{done.stdout.strip()} scores; installed: {installed}")]


def _failed(why: str, installed: str) -> Finding:
    fix = "Set runtime in [model] to another one, or install one that fits this machine."
    return Finding("runtime", "problem", f"{why}; installed: {installed}", fix)


def _why(code: int, stderr: str) -> str:
    if code < 0:
        return f"the runtime ends this process with {signal.Signals(-code).name}"
    last = (stderr.strip().splitlines() or [f"exit code {code}"])[-1]
    return "".join(one if one.isprintable() else "?" for one in last)[:_MOST_CHARACTERS]
