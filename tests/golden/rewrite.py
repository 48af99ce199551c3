"""Write the golden figures with the slow oracles: ``cd tests && ../.venv/bin/python -m golden.rewrite``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emtc_agent.feature_files import CsvFeatureWriter, FeatureRows
from emtc_agent.features import CaptureConfig
from emtc_contract.schemas import SCHEMAS
from golden.site import site
from oracles.ciciot_oracle import Oracle39, Oracle46, makes_row, rows_of
from oracles.edge_oracle import EdgeOracle

FOLDER = Path(__file__).parent
CHUNK_BYTES = CaptureConfig().chunk_bytes


def expected_rows(name: str) -> FeatureRows:
    """Rows of the site in a schema, by its oracle."""
    return _edge() if name == "edge-v1" else _ciciot(name)


def _edge() -> FeatureRows:
    oracle = EdgeOracle()
    for packet, _ in site():
        oracle.push(packet)
    rows = oracle.finish()
    names = [f"{kind} {value if kind == 'ip' else format(value, '012x')}" for (kind, value), *_ in rows]
    return _rows("edge-v1", names, [row[1] for row in rows], [row[2] for row in rows], [row[4] for row in rows])


def _ciciot(name: str) -> FeatureRows:
    packets = [(packet.ts_us, octets) for packet, octets in site()]
    window = SCHEMAS[name].window.packets
    oracle = {"ciciot2023-39": Oracle39, "ciciot2023-46": Oracle46}[name]
    rows = rows_of(oracle, packets, window, CHUNK_BYTES)
    times = [ts_us for ts_us, octets in packets if makes_row(octets)]
    first = times[::window]
    last = [times[min(at + window, len(times)) - 1] for at in range(0, len(times), window)]
    return _rows(name, ["capture"] * len(rows), first, last, rows)


def _rows(name, endpoint, first_us, last_us, rows) -> FeatureRows:
    return FeatureRows(
        schema=SCHEMAS[name],
        features=np.array(rows, np.float64),
        endpoint=np.array(endpoint, dtype=object),
        first_us=np.array(first_us, np.int64),
        last_us=np.array(last_us, np.int64),
        label=np.full(len(rows), "", dtype=object),
        source="golden",
    )


if __name__ == "__main__":
    for schema in SCHEMAS.values():
        with CsvFeatureWriter(FOLDER / f"site.{schema.name}.csv", schema) as writer:
            writer.write(expected_rows(schema.name))
