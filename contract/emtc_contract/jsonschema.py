"""Write the JSON Schema of every message: ``python -m emtc_contract.jsonschema FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from emtc_contract.messages import json_schemas


def write(folder: Path) -> None:
    """One ``<channel>.schema.json`` per message."""
    folder.mkdir(parents=True, exist_ok=True)
    for channel, schema in json_schemas().items():
        text = msgspec.json.format(msgspec.json.encode(schema), indent=2)
        (folder / f"{channel}.schema.json").write_bytes(text + b"\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
