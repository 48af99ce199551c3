"""Every real capture at hand is replayed: exit 0, or 2 with one line for what is no (whole) capture."""

import json
import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from programs import lines, run
from support import SHARED, needs_shared

pytestmark = [needs_shared, pytest.mark.shared]


@pytest.fixture(scope="module")
def results():
    """One process per file, a few at a time: (file, result)."""
    files = sorted(path for path in (SHARED / "data" / "pcap").rglob("*") if path.is_file())
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        return list(
            zip(files, pool.map(lambda file: run("emtc-agent", "replay", file, "--json"), files), strict=True)
        )


def test_no_capture_brings_the_agent_down(results):
    assert results
    for file, done in results:
        assert b"Traceback" not in done.stderr, file
        if done.returncode == 0:
            assert done.stderr == b"", file
            assert "summary" in json.loads(lines(done.stdout)[-1]), file
        else:
            assert done.returncode == 2, file
            assert len(lines(done.stderr)) == 1, file
            assert str(file) in done.stderr.decode(), file


def test_packets_are_found_in_nearly_all_and_counted(results, capsys):
    table = Counter()
    packets = 0
    for _, done in results:
        table[done.returncode] += 1
        found = lines(done.stdout)
        packets += json.loads(found[-1])["summary"]["packets"] if found else 0
    with capsys.disabled():
        sys.stdout.write(f"\nreplayed {len(results)} captures, exit codes {dict(table)}, {packets} packets\n")
    assert table[0] >= 0.99 * len(results)
    assert packets > 300_000
