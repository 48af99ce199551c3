"""``python -m emtc_agent.doctor.trial REQUEST``: load a bundle into a runtime, score a row, say what runs it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from emtc_agent.detector import load_bundle, open_runtime
from emtc_contract.errors import EmtcError


def main(request: str) -> int:
    """Do what ``check_runtime`` asks for; returns the exit code."""
    path, keys, name, precision, threads = json.loads(request)
    try:
        runtime = open_runtime(load_bundle(Path(path), [Path(key) for key in keys]), name, precision, threads)
    except (EmtcError, ImportError) as error:
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        return 2
    sys.stdout.write(f"{runtime.name} {runtime.artifact.precision}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
