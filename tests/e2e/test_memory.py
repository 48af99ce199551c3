"""Memory stays bounded: 500 MB of captures of three kinds, each replayed in at most 120 MB."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

import capture_files as cf
import frames as f
from programs import lines

CAPTURE_BYTES = 500_000_000
LIMIT_BYTES = 120_000_000
BASE_S = 1_700_000_000
# VmHWM and not ru_maxrss of the child: the latter starts at the size of the parent that forked.
AGENT = """
import atexit, pathlib, sys
atexit.register(lambda: sys.stderr.write(pathlib.Path("/proc/self/status").read_text()))
from emtc_agent.cli import main
main()
"""


def records(rng, count, size, *, forged):
    """A block of equal-sized pcap records whose addresses, ports and times are then set, (count, 16 + size)."""
    frame = f.ether(f.ipv4(f.udp(bytes(size - 42), 5000, 5683), "10.0.0.1", "203.0.113.9", f.UDP), src=2, dst=4)
    one = cf.pcap_record((BASE_S * 1_000_000, frame))
    block = np.tile(np.frombuffer(one, np.uint8), (count, 1))
    if forged:
        block[:, 16 + 6 : 16 + 12] = rng.integers(0, 256, (count, 6)) & [0xFE, 255, 255, 255, 255, 255]
        block[:, 16 + 27 : 16 + 30] = rng.integers(0, 256, (count, 3))
        block[:, 16 + 30 : 16 + 38] = rng.integers(0, 256, (count, 8))
    else:
        block[:, 16 + 29] = rng.integers(1, 50, count)
        block[:, 16 + 11] = block[:, 16 + 29]
    return block


def feed(out, size, *, forged):
    """Write a capture of ``CAPTURE_BYTES`` at 20,000 packets per second of its own time."""
    rng = np.random.default_rng(1)
    out.write(cf.pcap_header())
    written, number = 24, 0
    block = records(rng, 20_000, size, forged=forged)
    while written < CAPTURE_BYTES:
        if forged:
            block = records(rng, 20_000, size, forged=True)
        block[:, :4] = np.frombuffer((BASE_S + number).to_bytes(4, "little"), np.uint8)
        block[:, 4:8] = (np.arange(20_000, dtype="<u4") * 50).view(np.uint8).reshape(-1, 4)
        written += out.write(block.tobytes())
        number += 1


@pytest.mark.parametrize(
    ("size", "forged"),
    [(1000, False), (1000, True), (60, True)],
    ids=["devices", "forged", "small-forged"],
)
def test_replaying_500_mb_takes_at_most_120_mb(size, forged, tmp_path, capsys):
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:  # files: nobody reads meanwhile
        agent = [sys.executable, "-c", AGENT, "replay", "-", "--json"]
        with subprocess.Popen(agent, stdin=subprocess.PIPE, stdout=out, stderr=err) as replaying:
            feed(replaying.stdin, size, forged=forged)
    said = (tmp_path / "err").read_text()
    assert replaying.returncode == 0, said
    summary = json.loads(lines((tmp_path / "out").read_bytes())[-1])["summary"]
    assert summary["packets"] >= CAPTURE_BYTES // (size + 16)
    peak_bytes = int(re.search(r"VmHWM:\s+(\d+) kB", said)[1]) * 1024
    with capsys.disabled():
        sys.stdout.write(f"\nreplayed {CAPTURE_BYTES / 1e6:.0f} MB in {peak_bytes / 1e6:.0f} MB\n")
    assert peak_bytes <= LIMIT_BYTES
