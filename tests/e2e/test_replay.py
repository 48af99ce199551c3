"""The main job on the shipped capture with the shipped bundle."""

import csv
import gzip
import json
import subprocess
from datetime import datetime

import pytest

import brokers
from programs import BIN, lines, run
from support import ROOT

DEMO = ROOT / "lab" / "recordings" / "demo"
CAPTURE = DEMO / "capture.pcap.gz"


def us(text):
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000)


@pytest.fixture(scope="module")
def replayed():
    """Alerts of the shipped capture by incident, and the summary."""
    done = run("emtc-agent", "replay", CAPTURE, "--json")
    assert done.returncode == 0, done.stderr
    *alerts, last = map(json.loads, lines(done.stdout))
    incidents = {}
    for alert in alerts:
        incidents.setdefault(alert["id"], []).append(alert)
    return list(incidents.values()), last["summary"]


@pytest.fixture(scope="module")
def labels():
    with (DEMO / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", ["syn-scan", "syn-flood-forged"])
def test_each_attack_opens_an_incident_within_ten_seconds_that_closes_after(replayed, labels, kind):
    (label,) = [label for label in labels if label["type"] == kind]
    begin, end = int(label["start_us"]), int(label["end_us"])
    victim = label["victim"].split(";")[0]
    (told,) = [told for told in replayed[0] if told[0]["endpoint"]["ip"] == victim]
    assert (told[0]["state"], told[-1]["state"]) == ("new", "end")
    assert begin <= us(told[0]["ts"]) <= begin + 10_000_000
    assert us(told[-1]["ts"]) > end
    assert told[-1]["family"]["name"] == label["family"]


def test_nothing_is_reported_outside_the_attacks(replayed, labels):
    """A window that holds an attack's last packets may close ten seconds behind them."""
    for told in replayed[0]:
        opened = us(told[0]["ts"])
        spans = [(int(label["start_us"]), int(label["end_us"]) + 10_000_000) for label in labels]
        assert any(begin <= opened <= end for begin, end in spans), told[0]["text"]


def test_the_summary_counts(replayed):
    _, summary = replayed
    assert summary["packets"] == 10_947
    assert summary["truncated"] == summary["malformed records"] == 0
    assert summary["scored"] + summary["not scored"] == summary["windows"]
    assert summary["incidents"] == len(replayed[0])


def test_people_get_a_table_with_words(replayed):
    done = run("emtc-agent", "replay", CAPTURE)
    text = done.stdout.decode()
    assert done.returncode == 0
    assert done.stderr == b""
    assert "looks" in text
    assert "10,947" in text


def test_the_benign_part_alone_is_quiet(tmp_path, labels):
    raw = gzip.decompress(CAPTURE.read_bytes())
    first = min(int(label["start_us"]) for label in labels)
    at = 24
    while (
        int.from_bytes(raw[at : at + 4], "little") * 1_000_000 + int.from_bytes(raw[at + 4 : at + 8], "little")
        < first
    ):
        at += 16 + int.from_bytes(raw[at + 8 : at + 12], "little")
    (tmp_path / "benign.pcap").write_bytes(raw[:at])
    done = run("emtc-agent", "replay", tmp_path / "benign.pcap", "--json")
    summary = json.loads(lines(done.stdout)[-1])["summary"]
    assert len(lines(done.stdout)) == 1
    assert summary["windows"] > 100


@pytest.mark.parametrize("broker", ["embedded", "mosquitto"])
def test_a_subscriber_sees_the_incidents_arrive(replayed, broker, tmp_path):
    if broker == "mosquitto" and brokers.MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    with brokers.embedded() if broker == "embedded" else brokers.mosquitto(tmp_path) as url:
        watch = [BIN / "emtc-agent", "watch", "--mqtt", url, "--json", "--until-stopped"]
        with subprocess.Popen(watch, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
            assert b"watching" in watching.stderr.readline()
            done = run("emtc-agent", "replay", CAPTURE, "--mqtt", url, "--gateway", "gw-1", "--client", "acme")
            assert done.returncode == 0, done.stderr
            out, errors = watching.communicate(timeout=30)
        assert errors == b""
        got = [json.loads(line) for line in lines(out)]
    sent = [alert for told in replayed[0] for alert in told]
    assert sorted((a["state"], a["text"]) for a in got) == sorted((a["state"], a["text"]) for a in sent)


def test_extract_writes_what_replay_judges(tmp_path, replayed):
    done = run("emtc-agent", "extract", CAPTURE, "-o", tmp_path / "rows.csv")
    assert done.returncode == 0
    rows = lines((tmp_path / "rows.csv").read_bytes())
    assert len(rows) - 2 == replayed[1]["windows"]
    done = run("emtc-agent", "extract", CAPTURE, "-o", tmp_path / "rows.parquet")
    assert done.returncode == 0
    import pyarrow.parquet as pq

    assert pq.read_table(tmp_path / "rows.parquet").num_rows == len(rows) - 2


def test_labelled_features_of_a_recording(tmp_path):
    done = run("emtc-trainer", "features", DEMO, "-o", tmp_path / "demo.parquet")
    assert done.returncode == 0, done.stderr
    import pyarrow.parquet as pq

    table = pq.read_table(tmp_path / "demo.parquet")
    labels = set(table.column("label").to_pylist())
    with (DEMO / "labels.csv").open() as file:
        attacks = {f"{row['family']}/{row['type']}" for row in csv.DictReader(file)}
    assert labels == attacks | {""}
    assert f"{table.num_rows} rows".encode() in done.stderr


def test_training_on_own_captures_gives_a_bundle_that_replays(tmp_path):
    """The README's path from captures to incidents, on a small scale."""
    done = run("emtc-trainer", "features", DEMO, "-o", tmp_path / "all.csv")
    assert done.returncode == 0
    head, columns, *rows = (tmp_path / "all.csv").read_text().splitlines()
    for name, part in (("a", rows[:150]), ("b", rows[150:])):
        (tmp_path / f"{name}.csv").write_text("\n".join([head, columns, *part]) + "\n")
    fit = run("emtc-trainer", "fit", tmp_path / "a.csv", tmp_path / "b.csv", "-o", tmp_path / "m.pt", "--epochs", 20)
    assert fit.returncode == 0, fit.stderr
    built = run("emtc-export", "build", tmp_path / "m.pt", "-o", tmp_path / "my.bundle", "--name", "mine")
    assert built.returncode == 0, built.stderr
    assert b"mine" in run("emtc-export", "show", tmp_path / "my.bundle").stdout
    assert run("emtc-agent", "replay", CAPTURE, "--bundle", tmp_path / "my.bundle").returncode == 0
    judged = run("emtc-trainer", "evaluate", tmp_path / "m.pt", DEMO, "--json")
    assert judged.returncode == 0, judged.stderr
    assert json.loads(judged.stdout)["metrics"]["auc_roc"] > 0.5
    refused = run("emtc-trainer", "evaluate", tmp_path / "m.pt", tmp_path / "a.csv")
    assert refused.returncode == 2


def test_replay_can_keep_the_pace_of_the_recording(tmp_path):
    import time

    import capture_files as cf
    import frames as f

    frame = f.ether(f.ipv4(f.tcp(b"x")))
    path = cf.write_pcap(tmp_path / "two.pcap", [(at * 1_000_000, frame) for at in range(11)])
    begin = time.monotonic()
    assert run("emtc-agent", "replay", path, "--speed", "10x").returncode == 0
    assert time.monotonic() - begin >= 1.0
