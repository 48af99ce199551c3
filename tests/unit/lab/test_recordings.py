"""What is written beside a capture, and how a capture is checked against its labels."""

import tomllib
from pathlib import Path

import pytest

from capture_files import write_pcap
from dissect import fields
from emtc_lab.labels import Label, write_labels
from emtc_lab.plan import make_plan
from emtc_lab.report import to_toml, write_lock
from emtc_lab.scenario import load
from emtc_lab.verify import Capture
from emtc_lab.views import write_gtpu
from emtc_trainer.labels import read_labels
from frames import arp, ether, ipv4, udp

DEVICE, SERVER = "10.9.8.7", "198.51.100.10"
RAW_IP = 101


def packet(ts_us, src, dst):
    return ts_us, ether(ipv4(udp(b"x" * 10), src, dst, 17))


def test_packets_are_counted_by_address_and_time(tmp_path):
    path = tmp_path / "capture.pcap"
    write_pcap(path, [packet(second * 1_000_000, DEVICE, SERVER) for second in range(10)])
    capture = Capture.read(path)
    assert (capture.packets, capture.seconds) == (10, 9.0)
    assert capture.count([[DEVICE]], 2_000_000, 5_000_000) == 4
    assert capture.count([[SERVER], [DEVICE]], 2_000_001, 5_000_000) == 3
    assert capture.count([["10.9.8.6"]], 0, 10**9) == capture.count([["10.9.8.6"], [SERVER]], 0, 10**9) == 0
    assert capture.count([["10.9.8.6", "00:00:00:00:00:02"]], 0, 0) == 1


def test_arp_counts_for_the_addresses_it_speaks_of(tmp_path):
    path = tmp_path / "capture.pcap"
    write_pcap(path, [(0, ether(arp(1, 2, "10.0.0.5", 0, "10.0.0.9"), 0x0806))])
    assert Capture.read(path).count([["10.0.0.9"]], 0, 0) == 1


def test_the_tunnel_view_keeps_every_packet_of_a_device(tmp_path):
    raw, out = tmp_path / "raw.pcap", tmp_path / "gtpu.pcap"
    inner = [
        (1_000_000, ipv4(udp(b"up" * 300), DEVICE, SERVER, 17)),
        (2_000_000, ipv4(udp(b"down"), SERVER, DEVICE, 17)),
    ]
    stranger = (3_000_000, ipv4(udp(b"?"), "100.64.0.2", SERVER, 17))
    write_pcap(raw, [*inner, stranger], linktype=RAW_IP)
    assert write_gtpu(raw, out, ["10.9.8.1", DEVICE], 128) == 4  # two of them echoes
    rows = fields(out, "frame.len", "ip.src", "gtp.message", "gtp.teid")
    assert [row[2] for row in rows] == ["0x01", "0x02", "0xff", "0xff"]
    assert [int(row[0]) for row in rows[2:]] == [len(octets) + 50 for _, octets in inner]
    assert [row[1].split(",")[1] for row in rows[2:]] == [DEVICE, SERVER]
    assert rows[2][3] != rows[3][3]
    assert Capture.read(out).count([[DEVICE]], 0, 10**9) == 2


def test_the_trainer_reads_the_labels(tmp_path):
    label = Label(1, 2, f"{DEVICE};02:00:00:00:00:01", "", "recon", "arp-sweep", "low", "no", "nmap", '-n "x",y')
    write_labels(tmp_path / "labels.csv", [label, label])
    read = read_labels(tmp_path / "labels.csv")
    assert len(read) == 2
    assert read[0].endpoints == {DEVICE, "02:00:00:00:00:01"}
    assert read[0].name == "recon/arp-sweep"


def test_the_lock_file_tells_hosts_and_disturbances(tmp_path):
    scenario = load(Path(__file__).parents[3] / "lab" / "scenarios" / "mixed.toml")
    plan = make_plan(scenario, 7, minutes=120)
    write_lock(tmp_path / "lock.toml", scenario, 7, plan)
    lock = tomllib.loads((tmp_path / "lock.toml").read_text())
    assert [device["mac"] for device in lock["device"]] == [host.mac for host in plan.hosts]
    assert [device["outages"] for device in lock["device"]] == [[list(o) for o in known] for known in plan.outages]
    assert lock["events"] == [[event.at_s, event.name] for event in plan.events] != []
    assert lock["scenario"]["events"]["factory_reset_s"] == scenario.events.factory_reset_s
    assert {"nmap", "mosquitto", "aiocoap", "kernel"} <= set(lock["versions"])


def test_evidence_is_between_attacker_and_victim_or_at_the_victim_where_senders_are_forged():
    known = Label(1, 2, "10.0.0.1;02:00:00:00:00:01", "10.0.0.2", "", "", "", "", "", "")
    forged = Label(1, 2, "", "10.0.0.2", "", "", "", "", "", "")
    assert known.evidence == [["10.0.0.1", "02:00:00:00:00:01"], ["10.0.0.2"]]
    assert forged.evidence == [["10.0.0.2"]]


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"a": 1, "b": [1, 2], "c": {"d": "x", "e-f": {"g": 1e-05}}, "h": [{"i": 1, "j": {"k": True}}, {"i": 2}]},
        {"versions": {"python": 'a "quoted" \\ name', "with space": "1"}, "list": []},
    ],
)
def test_tables_survive_being_written_as_toml(table):
    assert tomllib.loads(to_toml(table)) == table
