"""Rows for training: captures and feature files say the same; labels go to whom they belong."""

import numpy as np
import pytest

import capture_files as cf
import frames as f
from emtc_agent.feature_files import read_csv
from emtc_agent.features import EdgeExtractor
from emtc_agent.pipeline import extract_capture
from emtc_contract.edge_v1 import EDGE_V1
from emtc_contract.errors import FeatureFileError, SchemaError
from emtc_contract.schemas import SCHEMAS
from emtc_trainer.data import attacks_in, load
from emtc_trainer.labels import read_labels
from emtc_trainer.parquet import ParquetFeatureWriter, read_parquet

HEADER = "start_us,end_us,attacker,victim,family,type\n"
BASE = 1_700_000_000_000_000


def record(folder, labels=""):
    """A recording of two devices that talk to a server for a minute."""
    packets = []
    for at in range(120):
        device = 1 + at % 2
        octets = f.ether(
            f.ipv4(f.udp(b"x" * at, 5000, 5683), f"10.0.0.{device}", "203.0.113.9", f.UDP), src=device, dst=9
        )
        packets.append((BASE + at * 500_000, octets))
    folder.mkdir()
    cf.write_pcap(folder / "capture.pcap", packets)
    if labels:
        (folder / "labels.csv").write_text(HEADER + labels)
    return folder


def test_captures_csv_and_parquet_give_the_same_rows(tmp_path):
    from emtc_agent.feature_files import CsvFeatureWriter

    run = record(tmp_path / "run")
    pieces = list(extract_capture(run / "capture.pcap", EdgeExtractor()))
    for writer, name in ((CsvFeatureWriter, "rows.csv"), (ParquetFeatureWriter, "rows.parquet")):
        with writer(tmp_path / name, EDGE_V1) as out:
            for piece in pieces:
                out.write(piece)
    sets = [
        load([path], "train", EDGE_V1, lambda _: None)
        for path in (run, tmp_path / "rows.csv", tmp_path / "rows.parquet")
    ]
    for other in sets[1:]:
        assert np.array_equal(sets[0].features, other.features)
        assert sets[0].endpoint.tolist() == other.endpoint.tolist()
        assert sets[0].first_us.tolist() == other.first_us.tolist()


def test_labels_go_to_windows_that_hold_the_attack(tmp_path):
    """Packets between attacker and victim while the tool ran; the attacker's other windows stay benign."""
    line = f"{BASE},{BASE + 30_000_000},10.0.0.1,203.0.113.9,recon,scan\n"
    other = f"{BASE},{BASE + 30_000_000},10.0.0.1,203.0.113.10,flood,udp\n"
    run = record(tmp_path / "run", line + other)
    attacks = attacks_in(run / "capture.pcap")
    assert {name: len(times) for name, times in attacks[0].times_us.items()} == {"10.0.0.1": 31, "203.0.113.9": 31}
    assert not any(len(times) for times in attacks[1].times_us.values())
    rows = load([run], "test", EDGE_V1, lambda _: None)
    attacked = rows.label == "recon/scan"
    assert attacked.any()
    mine = f.mac(1).hex(":")
    assert set(rows.endpoint[attacked]) == {mine}
    assert (rows.first_us[attacked] <= BASE + 30_000_000).all()
    outside = (rows.first_us > BASE + 30_000_000) | (rows.endpoint != mine)
    assert (rows.label[outside] == "").all()


def test_forged_senders_leave_the_victim_to_tell_by(tmp_path):
    run = record(tmp_path / "run", f"{BASE},{BASE + 9_999_999},,{f.mac(1).hex(':')},flood,syn\n")
    (attack,) = attacks_in(run / "capture.pcap")
    assert len(attack.times_us[f.mac(1).hex(":")]) == 10


@pytest.mark.parametrize(
    "content", ["", "start_us\n1\n", HEADER + "a,b,c,d,e,f\n", HEADER + "1,2,nonsense,,e,f\n", HEADER + "1,2\n"]
)
def test_broken_labels_are_refused_by_name(tmp_path, content):
    path = tmp_path / "labels.csv"
    path.write_text(content)
    with pytest.raises(FeatureFileError, match=r"labels\.csv"):
        read_labels(path)


@pytest.mark.parametrize("damage", ["header", "cell", "short", "empty", "schema"])
def test_a_broken_csv_is_refused_by_line(tmp_path, damage):
    from emtc_agent.feature_files import CsvFeatureWriter

    run = record(tmp_path / "run")
    with CsvFeatureWriter(tmp_path / "rows.csv", EDGE_V1) as out:
        for piece in extract_capture(run / "capture.pcap", EdgeExtractor()):
            out.write(piece)
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    broken = {
        "header": ["hello", *lines[1:]],
        "cell": [*lines[:-1], lines[-1].rsplit(",", 1)[0] + ",x"],
        "short": [*lines[:-1], lines[-1].rsplit(",", 1)[0]],
        "empty": [],
        "schema": [lines[0].replace("digest=sha256:", "digest=sha256:0"), *lines[1:]],
    }[damage]
    (tmp_path / "rows.csv").write_text("\n".join(broken) + "\n")
    with pytest.raises((FeatureFileError, SchemaError), match=r"rows\.csv"):
        read_csv(tmp_path / "rows.csv", SCHEMAS)


def test_a_broken_parquet_is_refused(tmp_path):
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(FeatureFileError, match=r"rows\.parquet"):
        read_parquet(tmp_path / "rows.parquet", SCHEMAS)


@pytest.mark.parametrize("writer", ["csv", "parquet"])
def test_an_interrupted_writer_leaves_nothing(tmp_path, writer):
    from emtc_agent.feature_files import CsvFeatureWriter

    kind = {"csv": CsvFeatureWriter, "parquet": ParquetFeatureWriter}[writer]
    run = record(tmp_path / "run")
    target = tmp_path / "out" / f"rows.{writer}"
    target.parent.mkdir()
    pieces = list(extract_capture(run / "capture.pcap", EdgeExtractor()))

    def interrupted():
        with kind(target, EDGE_V1) as out:
            out.write(pieces[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(target.parent.iterdir()) == []
