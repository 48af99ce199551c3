"""``emtc-agent learn`` on real packets: the shipped recording's quiet part, lived through several times."""

import gzip
import json
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from capture_files import write_pcap
from emtc_agent.commands.learn import learn
from emtc_agent.detector import Scorer, open_runtime
from emtc_agent.errors import OneLineErrors
from emtc_agent.feature_files import read_csv
from emtc_agent.features import EdgeConfig, open_extractor
from emtc_agent.incidents import IncidentTracker
from emtc_agent.learning.options import OverlayChoice, overlay_options
from emtc_agent.pipeline import Pipeline
from emtc_agent.sources import open_capture
from emtc_contract.errors import BundleError
from emtc_contract.schemas import SCHEMAS
from samples import MODEL
from site_windows import SHIPPED, shipped
from support import ROOT, SHARED, needs_shared

DEMO = ROOT / "lab" / "recordings" / "demo"
MODBUS = SHARED / "data/pcap/ITI_ICS-Security-Tools/pcaps__bro__modbus__modbusBig.pcap"
QUIET_US = 175_000_000
ROUNDS = 8


def invoke(*arguments):
    group = OneLineErrors(name="emtc-agent", commands={"learn": learn})
    return CliRunner().invoke(group, ["learn", *map(str, arguments)], prog_name="emtc-agent")


def demo_packets():
    raw = gzip.decompress((DEMO / "capture.pcap.gz").read_bytes())
    at = 24
    while at < len(raw):
        seconds, fraction, size, wire = np.frombuffer(raw[at : at + 16], "<u4").tolist()
        yield seconds * 1_000_000 + fraction, raw[at + 16 : at + 16 + size], wire
        at += 16 + size


@pytest.fixture(scope="module")
def quiet_capture(tmp_path_factory):
    """The quiet minutes before the attacks, eight times one after the other."""
    packets = list(demo_packets())
    quiet = [packet for packet in packets if packet[0] < packets[0][0] + QUIET_US]
    path = tmp_path_factory.mktemp("quiet") / "quiet.pcap"
    write_pcap(path, [(ts + QUIET_US * turn, octets, wire) for turn in range(ROUNDS) for ts, octets, wire in quiet])
    return path


@pytest.fixture(scope="module")
def learned(quiet_capture, tmp_path_factory):
    """The folder after learning, and what was printed."""
    folder = tmp_path_factory.mktemp("site")
    done = invoke(quiet_capture, "-o", folder / "site.overlay", "--export", folder / "rows.csv", "--json")
    assert done.exit_code == 0, done.output
    return folder, json.loads(done.stdout)


def incidents(overlay, capture=DEMO / "capture.pcap.gz"):
    runtime = open_runtime(shipped())
    site = OverlayChoice(overlay).load(shipped(), runtime.artifact)
    scorer = Scorer(runtime, site=site)
    tracker = IncidentTracker(shipped(), MODEL, scorer.threshold, "b")
    pipeline = Pipeline(lambda: open_extractor(shipped().schema, EdgeConfig()), scorer, tracker)
    with open_capture(capture) as reader:
        alerts = [alert for batch in reader for alert in pipeline.push(batch)]
    return [alert for alert in alerts + pipeline.finish() if alert.state == "end"]


def test_the_report_tells_what_was_learned_and_what_changes(learned):
    _, report = learned
    assert report["learned"]
    assert report["seen"] == report["sampled"] + sum(report["refused"].values())
    assert report["trial_windows"] == pytest.approx(report["seen"] / 4, abs=2)
    assert ROUNDS * QUIET_US / 1e6 * 0.9 < report["seconds"] < ROUNDS * QUIET_US / 1e6 + 11  # windows close late
    assert report["after"]["above_1"] < 0.03
    assert report["after"]["incidents"] == 0
    assert report["after"]["attacks_seen"] > 0.5


def test_the_attacks_still_open_incidents(learned):
    folder, _ = learned
    families = {alert.family.name for alert in incidents(folder / "site.overlay")}
    assert {"recon", "flood"} <= families


def test_the_learned_windows_are_a_feature_file_for_the_trainer(learned):
    folder, report = learned
    rows = read_csv(folder / "rows.csv", SCHEMAS)
    assert len(rows) == report["sampled"]
    assert len(set(rows.endpoint.tolist())) == report["endpoints"]
    assert set(rows.label.tolist()) == {""}
    assert np.isfinite(rows.features).all()


def test_people_read_a_table(quiet_capture, tmp_path):
    done = invoke(quiet_capture, "-o", tmp_path / "o")
    assert done.exit_code == 0
    assert "before     after" in done.stdout
    assert done.stdout.rstrip().endswith("learned")


def test_the_same_captures_and_seed_give_the_same_overlay(quiet_capture, learned, tmp_path):
    folder, _ = learned
    (tmp_path / "device.key").write_bytes((folder / "device.key").read_bytes())
    (tmp_path / "device.key").chmod(0o600)
    assert invoke(quiet_capture, "-o", tmp_path / "o").exit_code == 0
    assert (tmp_path / "o").read_bytes() == (folder / "site.overlay").read_bytes()


def test_too_little_traffic_is_an_error_and_leaves_no_file(tmp_path):
    done = invoke(DEMO / "capture.pcap.gz", "-o", tmp_path / "o")
    assert done.exit_code == 2
    assert "not written" in done.stderr
    assert "are needed" in done.stderr
    assert not (tmp_path / "o").exists()


def test_a_capture_without_packets_is_an_error(tmp_path):
    write_pcap(tmp_path / "empty.pcap", [])
    done = invoke(tmp_path / "empty.pcap", "-o", tmp_path / "o")
    assert done.exit_code == 2
    assert "0 windows to judge on" in done.stderr


def test_accepting_attacks_needs_trust(tmp_path):
    done = invoke(DEMO / "capture.pcap.gz", "-o", tmp_path / "o", "--accept", "flood")
    assert done.exit_code == 2
    assert "--trusted" in done.stderr


def test_the_options_of_other_commands_take_the_overlay(learned):
    folder, _ = learned
    taken = []

    @click.command()
    @overlay_options
    def score(overlay):
        taken.append(overlay.load(shipped(), open_runtime(shipped()).artifact))

    assert CliRunner().invoke(score, ["--overlay", str(folder / "site.overlay")]).exit_code == 0
    assert CliRunner().invoke(score, []).exit_code == 0
    done = CliRunner().invoke(score, ["--overlay", str(folder / "site.overlay"), "--overlay-key", str(SHIPPED)])
    assert "not a device key" in str(done.exception)
    assert taken[0].threshold > 0
    assert taken[1] is None


def test_an_overlay_is_void_for_another_form_of_the_model(learned):
    folder, _ = learned
    used = open_runtime(shipped()).artifact
    other = next(one for one in shipped().manifest.artifacts if one.sha256 != used.sha256)
    with pytest.raises(BundleError, match="learn again"):
        OverlayChoice(folder / "site.overlay").load(shipped(), other)


@needs_shared
def test_a_real_site_unlike_the_lab_is_learned_only_if_an_operator_vouches_for_it(tmp_path):
    if not Path(MODBUS).exists():
        pytest.skip(f"{MODBUS.name} is not there")
    overlay = tmp_path / "o"
    refused = invoke(MODBUS, "-o", overlay)
    assert refused.exit_code == 2
    assert "trust the site" in refused.stderr
    done = invoke(MODBUS, "-o", overlay, "--trusted", "--accept", "flood", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["before"]["above_1"] > 0.9
    assert report["after"]["above_1"] < 0.03
    assert (report["before"]["incidents"], report["after"]["incidents"]) == (3, 0)
    assert {alert.family.name for alert in incidents(overlay)} >= {"recon", "flood"}
