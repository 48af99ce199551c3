"""The paper's experiment on rows in its layout, and what its unequal windows give away."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import capture_files as cf
import frames as f
from emtc_contract.ciciot2023 import CICIOT2023_46
from emtc_trainer.ciciot_csv import layout_of, read_ciciot
from emtc_trainer.cli import main
from emtc_trainer.paper import PUBLISHED
from emtc_trainer.tables import write_tables

BASE = 1_700_000_000_000_000
HEADER = "start_us,end_us,attacker,victim,family,type\n"


def recording(folder, labels=""):
    """A recording of 100 s at 100 packets a second whose sizes vary."""
    packets = []
    for at in range(10_000):
        octets = f.ether(f.ipv4(f.udp(bytes(at * 7 % 90), 5000, 53), "10.0.0.2", "203.0.113.9", f.UDP), src=2, dst=9)
        packets.append((BASE + at * 10_000, octets))
    folder.mkdir()
    cf.write_pcap(folder / "capture.pcap", packets)
    (folder / "labels.csv").write_text(HEADER + labels)
    return folder


def label(family, name, begin_s, end_s):
    return f"{BASE + begin_s * 1_000_000},{BASE + end_s * 1_000_000},10.0.0.2,203.0.113.9,{family},{name}\n"


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    runs = [
        recording(folder / "quiet"),
        recording(folder / "loud", label("flood", "syn-flood", 10, 60) + label("recon", "scan", 70, 90)),
    ]
    return list(write_tables(runs, CICIOT2023_46, folder / "out"))


def test_floods_are_cut_by_100_and_the_rest_by_10(tables):
    assert [(one.label, one.window, one.rows) for one in tables] == [
        ("Benign_Final", 10, 1000),
        ("flood/syn-flood", 100, 51),
        ("recon/scan", 10, 201),
    ]
    number = CICIOT2023_46.columns.index("Number")
    for one in tables:
        rows = np.concatenate([piece.features for piece in read_ciciot(one.path, layout_of(one.path))])
        assert (np.abs(rows[:-1, number] - 9.5) < 1e-9).all() == (one.window == 100)


def test_the_experiment_tells_what_the_paper_tells_and_what_it_omits(tables, tmp_path):
    folder = tables[0].path.parent
    runner = CliRunner()
    divided = runner.invoke(main, ["data", str(folder), "--by", "row", "-o", str(tmp_path / "divided")])
    assert divided.exit_code == 0, divided.output
    common = ["paper", "--data", str(tmp_path / "divided"), "--preset", "tiny", "--epochs", "2"]
    done = runner.invoke(main, [*common, "--at-shares", "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["published"] == {name: pytest.approx(value) for name, value in PUBLISHED.items()}
    rules = {one["name"]: one for one in result["contenders"]}
    assert rules["Number rule"]["families"] == {"flood": 1.0, "recon": 0.0}
    assert rules["Number rule"]["metrics"]["recall"] == pytest.approx(0.9807, abs=1e-3)
    assert rules["always attack"]["metrics"]["accuracy"] == pytest.approx(0.9765, abs=1e-3)
    assert set(rules["Conv-AE"]["metrics"]) == set(PUBLISHED)
    shown = runner.invoke(main, common)
    assert shown.exit_code == 0
    assert "published" in shown.stdout


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"schema": "edge-v1"}'])
def test_other_folders_are_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "split.json").write_bytes(content)
    done = CliRunner().invoke(main, ["paper", "--data", str(tmp_path)])
    assert done.exit_code == 2
    assert str(tmp_path) in done.stderr


def test_a_folder_without_recordings_is_refused(tmp_path):
    done = CliRunner().invoke(main, ["tables", str(tmp_path), "-o", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "capture.pcap" in done.stderr
