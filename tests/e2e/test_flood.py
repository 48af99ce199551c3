"""Five million packets of forged senders leave the other devices' rows and the process's memory as they were."""

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from batches import batch_of
from emtc_agent.features import EdgeConfig, EdgeExtractor
from emtc_agent.windows.windows import EndpointKind
from floods import syn_flood
from golden.site import CAMERA, DESK, MACS, METER, SENSOR, START_US, site

FLOOD_PACKETS = 5_000_000
CHUNK_PACKETS, PERIOD_US = 50_000, 10
MAY_GROW_BYTES = 8_000_000
OTHERS = [MACS[host] for host in (SENSOR, METER, CAMERA)]
AT_DESK = {"target": DESK, "sources": "198", "ether": True}
INSIDE = {"target": "203.0.113.9", "sources": "10"}
"""Raw IP: each forged sender would be a device of its own."""


def stream(flood):
    """The site; from its second minute on, ``flood`` (options of ``syn_flood``) fills the gaps."""
    sent = 0
    quiet = [(packet.ts_us, octets) for packet, octets in site()]
    for (at_us, octets), (next_us, _) in pairwise([*quiet, quiet[-1]]):
        yield batch_of([octets], [at_us])
        while at_us > START_US + 60_000_000 and at_us + PERIOD_US < next_us and sent < FLOOD_PACKETS and flood:
            count = min((next_us - at_us) // PERIOD_US, CHUNK_PACKETS, FLOOD_PACKETS - sent)
            yield syn_flood(count, seed=sent, start_us=at_us, **flood)
            at_us += PERIOD_US * count
            sent += count


def rows_of_others(windows):
    """Octets of every field of the rows that are not the victim's."""
    others = (windows.kind == EndpointKind.MAC) & np.isin(windows.id_lo, OTHERS)
    return [getattr(windows, field)[others].tobytes() for field in windows.__slots__]


def extract(flood=None):
    """(others' rows, by batch and without empty ones; counters; growth of memory from a tenth of the flood on)."""
    extractor, rows, begin_bytes = EdgeExtractor(EdgeConfig(hash_key=1)), [], 0
    for batch in stream(flood):
        rows.append(rows_of_others(extractor.push(batch)))
        if not begin_bytes and extractor.stats.packets > FLOOD_PACKETS // 10:
            begin_bytes = resident_bytes()
    grown_bytes = resident_bytes() - begin_bytes
    rows.append(rows_of_others(extractor.finish()))
    return [b"".join(parts) for parts in zip(*rows, strict=True)], extractor.stats, grown_bytes


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def undisturbed():
    rows, *_ = extract()
    assert len(rows[0]) > 30 * 8 * len(EdgeExtractor.schema.features)  # bytes of more than 30 rows
    return rows


@pytest.mark.parametrize("flood", [AT_DESK, INSIDE], ids=["one victim", "table full"])
def test_a_flood_changes_neither_the_others_nor_memory(flood, undisturbed):
    rows, counters, grown_bytes = extract(flood)
    assert rows == undisturbed
    assert counters.packets > FLOOD_PACKETS
    assert grown_bytes < MAY_GROW_BYTES
    if flood is INSIDE:
        assert counters.spilled > 0.99 * FLOOD_PACKETS
        assert counters.endpoints == EdgeConfig().max_endpoints
    else:
        assert counters.spilled == 0
        assert counters.peers_spilled > 0.9 * FLOOD_PACKETS
