"""A short recording of real programs in own network namespaces, read back by the agent."""

import csv
import json
import tomllib

import pytest

from namespaces import need_namespaces
from programs import assert_one_line_error, lines, run


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    need_namespaces()
    out = tmp_path_factory.mktemp("lab") / "run"
    done = run("emtc-lab", "record", "-o", out, "--minutes", "0.4", "--devices", "6", "--seed", "3")
    assert done.returncode == 0, done.stderr.decode()
    return out


@pytest.mark.namespaces
def test_devices_talk_to_real_services_and_the_agent_reads_it(recording):
    told = tomllib.loads((recording / "run.toml").read_text())
    done = run("emtc-agent", "replay", recording / "capture.pcap", "--json")
    summary = json.loads(lines(done.stdout)[-1])["summary"]
    assert done.returncode == 0
    assert summary["packets"] == told["packets"] > 100
    assert summary["endpoints"] >= 6
    assert summary["incidents"] == 0


@pytest.mark.namespaces
def test_the_protocols_of_the_devices_are_seen(recording, tmp_path):
    rows = tmp_path / "rows.csv"
    assert run("emtc-agent", "extract", recording / "capture.pcap", "-o", rows).returncode == 0
    with rows.open(newline="") as file:
        table = list(csv.DictReader(line for line in file if not line.startswith("#")))
    for service in ("dns", "ntp", "mqtt", "coap", "http", "tls"):
        assert any(float(row[f"{service}_share"]) > 0 for row in table), service


@pytest.mark.namespaces
def test_a_recording_is_never_overwritten(recording):
    done = run("emtc-lab", "record", "-o", recording, "--minutes", "0.1")
    assert_one_line_error(done, str(recording), "already holds a recording")
