"""The benchmarks run, count what they read, and say who is missing; how fast is not looked at."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emtc_agent.columns import Other, decode
from emtc_agent.sources import open_capture

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from bench import captures  # noqa: E402
from bench.contenders import Figures  # noqa: E402
from bench.report import Result, markdown, targets  # noqa: E402


def bench(*arguments):
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def test_extract_measures_everyone_who_is_there():
    done = bench("extract", "iot", "flood", "--packets", "3000", "--repeat", "1", "--stages", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    figures = {(one["capture"], one["name"]): one for one in told["results"]}
    for capture in ("iot", "flood"):
        for name in ("edge-v1", "ciciot2023-39", "ciciot2023-46", "read", "read, decode", "replay"):
            assert figures[capture, name]["failed"] == ""
            (run,) = figures[capture, name]["runs"]
            assert run["packets"] == 3000
            assert 20 < run["rss_mb"] < 300
            assert run["records"] > 0 or name.startswith("read")
    for name in ("libpcap", "nfstream", "dpkt", "scapy", "cicflowmeter"):
        assert (("iot", name) in figures) != (name in told["missing"])
    assert told["machine"]["numpy"] == np.__version__
    assert len(told["targets"]) >= 3


def test_model_measures_every_form_in_every_runtime():
    done = bench("model", "--preset", "tiny", "--seconds", "0.01")
    assert done.returncode == 0, done.stderr
    for file, runtime in (("model.onnx", "onnxruntime"), ("model.int8.onnx", "onnxruntime")):
        assert re.search(rf"\| tiny \| {file} \| \d+ \| {runtime} \|( [\d.,]+ \|){{6}}", done.stdout), done.stdout


def test_a_capture_of_ones_own_as_a_table(tmp_path):
    path = tmp_path / "own.pcap"
    captures.write(path, captures.mix(2000))
    done = bench("extract", str(path), "--repeat", "2", "--only", "edge-v1")
    assert done.returncode == 0, done.stderr
    assert f"| {path} | packets |" in done.stdout
    assert "| edge-v1 | 2,000 |" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["extract", "--only", "nobody"], "nobody is none of edge-v1"),
        (["extract", "missing.pcap"], "missing.pcap is neither a file nor one of iot, mix, flood"),
    ],
)
def test_wrong_arguments(arguments, said):
    done = bench(*arguments)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize("kind", captures.KINDS)
def test_captures_are_what_they_say(tmp_path, kind):
    captures.write(tmp_path / "made.pcap", captures.KINDS[kind](5000))
    with open_capture(tmp_path / "made.pcap") as reader:
        (batch,) = reader
    columns = decode(batch)
    assert len(batch) == 5000
    assert (np.diff(batch.ts_us) >= 0).all()
    assert (columns.reason == Other.DECODED).all()
    is_syn = (columns.tcp_flags == captures.SYN) & (columns.dst_port == 80)
    flooding = np.count_nonzero(is_syn & (columns.dst_lo & 0xFFFF_FFFF == captures._DEVICE_NETWORK + captures.VICTIM))
    assert flooding >= {"iot": 0, "mix": 2000, "flood": 5000}[kind]
    assert {"iot": 0.6, "mix": 0.75, "flood": 1.0}[kind] <= np.mean(columns.proto == 6) <= 1.0


def test_a_missed_target_is_told():
    def result(capture, name, seconds):
        return Result(capture, name, [Figures(1000, 10, seconds, 50.0)])

    results = [result("iot", "edge-v1", 1.0), result("iot", "nfstream", 5.0), result("iot", "libpcap", 0.25)]
    reached = {target.text: target.reached for target in targets(results)}
    assert reached["edge-v1 to nfstream on iot"] is False
    assert reached["edge-v1 to bare libpcap on iot"] is True
    table = markdown([*results, Result("iot", "scapy", [], "it broke")], {"dpkt": "not there"}, stages=False)
    assert "| edge-v1 to nfstream on iot | 10 | 5.00 | NO |" in table
    assert "| scapy | failed: it broke |" in table
    assert "Missing: dpkt (not there)." in table
