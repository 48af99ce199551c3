"""The smoke scenario: real programs and attacks in own network namespaces, looked at from all sides."""

import csv
import itertools
import json
import tomllib
from pathlib import Path

import pytest

from dissect import fields
from emtc_lab.devices.habits import plan as device_plan
from emtc_lab.devices.kinds import KINDS
from emtc_lab.plan import make_plan
from emtc_lab.scenario import load
from emtc_lab.verify import read_records
from namespaces import need_lab
from programs import assert_one_line_error, lines, run

SMOKE = Path(__file__).parents[2] / "lab" / "scenarios" / "smoke.toml"
SEED = 3
ETHERNET_MTU_FRAME = 1514
pytestmark = pytest.mark.namespaces


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    need_lab()
    out = tmp_path_factory.mktemp("lab") / "run"
    done = run("emtc-lab", "run", SMOKE, "-o", out, "--seed", SEED)
    assert done.returncode == 0, done.stderr.decode()
    assert b"attacks to come" in done.stderr
    return out


@pytest.fixture(scope="module")
def plan():
    return make_plan(load(SMOKE), SEED)


def labels_of(folder):
    with (folder / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_agent_reads_what_was_recorded(recording):
    told = tomllib.loads((recording / "summary.toml").read_text())
    assert told["programs_that_failed"] == told["attacks_void"] == []
    for view, folder in (("ethernet", "."), ("raw-ip", "raw-ip"), ("gtp-u", "gtp-u")):
        done = run("emtc-agent", "replay", recording / folder / "capture.pcap", "--json")
        summary = json.loads(lines(done.stdout)[-1])["summary"]
        assert done.returncode == 0
        assert summary["packets"] == told["view"][view]["packets"] > 100
        assert summary["truncated"] == summary["malformed records"] == 0
        assert summary["endpoints"] >= len(KINDS)


def test_no_program_breaks_down(recording):
    told = (recording / "programs.log").read_text()
    assert "Traceback" not in told
    assert "== device-d18" in told


def test_the_protocols_of_the_devices_are_seen(recording, tmp_path):
    rows = tmp_path / "rows.csv"
    assert run("emtc-agent", "extract", recording / "capture.pcap", "-o", rows).returncode == 0
    with rows.open(newline="") as file:
        table = list(csv.DictReader(line for line in file if not line.startswith("#")))
    for service in ("dns", "ntp", "mqtt", "coap", "http", "tls", "dhcp", "industrial", "discovery", "telnet"):
        assert any(float(row[f"{service}_share"]) > 0 for row in table), service


def test_the_schedule_follows_from_the_seed(recording, plan):
    """What was done is the beginning of what the plan says, action by action and attack by attack."""
    with (recording / "actions.csv").open(newline="") as file:
        done = [(row["device"], row["at_s"], row["action"]) for row in csv.DictReader(file)]
    for spec in plan.specs:
        mine = [(at, action) for name, at, action in done if name == spec.name]
        planned = itertools.islice(device_plan(spec, KINDS[spec.kind].all_habits()), len(mine))
        assert mine == [(f"{at:.3f}", action) for at, action in planned]
        assert len(mine) > 2
    assert {spec.kind for spec in plan.specs} == set(KINDS)
    assert [row["type"] for row in labels_of(recording)] == [step.attack for step in plan.steps]


def test_every_host_has_its_own_mac_and_both_directions_are_seen(recording, plan):
    pairs = {tuple(row) for row in fields(recording / "capture.pcap", "eth.src", "ip.src", only="ip")}
    senders = {ip: {mac for mac, other in pairs if other == ip} for ip in (spec.ip for spec in plan.specs)}
    assert senders == {host.ip: {host.mac} for host in plan.hosts}
    received = {row[0] for row in fields(recording / "capture.pcap", "ip.dst", only="ip")}
    assert {spec.ip for spec in plan.specs} <= received


@pytest.mark.parametrize("view", [".", "raw-ip"])
def test_no_frame_is_larger_than_the_mtu(recording, view):
    linktype, records = read_records(recording / view / "capture.pcap")
    sizes = [record.wire_bytes for record in records]
    assert max(sizes) <= (ETHERNET_MTU_FRAME if linktype == 1 else 1500)
    assert max(sizes) > 1000  # firmware and certificates fill their segments


def test_handshakes_complete_and_checksums_are_right(recording):
    capture = recording / "capture.pcap"
    syns = {
        row[0]
        for row in fields(capture, "tcp.stream", only="tcp.flags.syn==1 && tcp.flags.ack==0 && tcp.dstport==1883")
    }
    answered = {row[0] for row in fields(capture, "tcp.stream", only="tcp.flags.syn==1 && tcp.flags.ack==1")}
    assert syns
    assert syns <= answered
    assert fields(capture, "frame.number", only="ip.checksum.status==0 || tcp.checksum.status==0") == []


def test_labels_match_the_packets_of_the_attackers(recording):
    labels = labels_of(recording)
    assert labels
    for label in labels:
        ip = label["attacker"].split(";")[0]
        victim = label["victim"].split(";")[0]
        rows = fields(recording / "capture.pcap", "frame.time_epoch", only=f"ip.src=={ip} && ip.dst=={victim}")
        times = [float(row[0]) * 1e6 for row in rows]
        inside = [int(label["start_us"]) <= at <= int(label["end_us"]) + 2e6 for at in times]
        assert sum(inside) > 50
        assert all(inside)


def test_the_lock_file_tells_what_ran(recording, plan):
    lock = tomllib.loads((recording / "scenario.lock.toml").read_text())
    assert lock["seed"] == SEED
    assert lock["scenario"]["name"] == "smoke"
    assert [device["mac"] for device in lock["device"]] == [host.mac for host in plan.hosts]
    assert {"nmap", "mosquitto", "aiocoap", "kernel"} <= set(lock["versions"])


def test_dhcp_offers_are_taken(recording):
    assert fields(recording / "capture.pcap", "frame.number", only="dhcp.type == 2 && !icmp")
    assert fields(recording / "capture.pcap", "frame.number", only="icmp.type == 3 && udp.dstport == 68") == []


def test_an_overview_counts_runs_and_attacks(recording):
    done = run("emtc-lab", "overview", recording.parent)
    told = tomllib.loads((recording / "summary.toml").read_text())
    assert done.returncode == 0
    assert f"| smoke | {SEED} | {len(KINDS)} | {told['view']['ethernet']['packets']:,} |".encode() in done.stdout
    assert b"| syn-scan | 1 |" in done.stdout


def test_a_folder_without_recordings_is_one_line(tmp_path):
    assert_one_line_error(run("emtc-lab", "overview", tmp_path), str(tmp_path), "no recordings", code=2)


def test_a_bad_scenario_is_one_line(tmp_path):
    site = tmp_path / "site.toml"
    site.write_text(SMOKE.read_text().replace("compress", "kompress"))
    done = run("emtc-lab", "run", site, "-o", tmp_path / "run")
    assert_one_line_error(done, str(site), "kompress", "did you mean compress", code=2)
    assert not (tmp_path / "run").exists()


def test_a_recording_is_never_overwritten(recording):
    done = run("emtc-lab", "run", SMOKE, "-o", recording)
    assert_one_line_error(done, str(recording), "already holds a recording")
