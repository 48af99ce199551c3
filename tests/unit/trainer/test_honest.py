"""Judging: an attack counts as seen by its own windows only, and benign windows alone make false incidents."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import capture_files as cf
import frames as f
from emtc_agent.addresses import time_text
from emtc_agent.detector import Scored
from emtc_agent.detector.calibration import weights
from emtc_agent.feature_files import FeatureRows
from emtc_agent.incidents import IncidentConfig, IncidentTracker
from emtc_agent.windows.windows import empty_windows
from emtc_contract.edge_v1 import EDGE_V1
from emtc_contract.errors import FeatureFileError
from emtc_trainer.honest.baselines import BASELINES
from emtc_trainer.honest.comparison import compare, operate
from emtc_trainer.honest.judging import Operating, Seen, interval, judge, macro
from emtc_trainer.honest.recordings import Instance, Run, read_run
from emtc_trainer.operating import LEAST_LEVEL, Stream, level_for, streams
from rows import benign_rows
from samples import MODEL

SECOND = 1_000_000
TABLE = ((0.0, 1.0, 10.0), (1.0, 0.5, 1e-9))  # a score of 10 is as odd as can be
OPERATING = Operating(threshold=5.0, known=TABLE, level=12.0)


def run_of(scores, attack=None, device_hours=24.0):
    """A run of two endpoints that close a window each second by turns; ``attack`` is from row to row of a."""
    number = len(scores)
    endpoint = np.array(["a", "b"] * number, dtype=object)[:number]
    last_us = np.arange(number) * SECOND
    benign, instances = np.ones(number, bool), ()
    if attack is not None:
        mine = np.arange(number)
        during = mine[(endpoint == "a") & (mine >= attack[0]) & (mine <= attack[1] + 4)]
        held = during[during <= attack[1]]
        benign[during] = False
        instances = (Instance("recon/scan", held, during, int(last_us[attack[0]])),)
    nothing = np.full(number, "", dtype=object)
    rows = FeatureRows(
        EDGE_V1, benign_rows(1, number).astype(float), endpoint, last_us - SECOND, last_us, nothing, "x"
    )
    return Run("x", rows, instances, benign, device_hours)


def verdict(scores, **options):
    scores = np.asarray(scores, float)
    return judge([run_of(scores, **options)], [scores], OPERATING)


def test_an_attack_is_seen_when_its_windows_suffice():
    scores = np.zeros(40)
    scores[10:18:2] = 10  # endpoint a, four windows; two suffice
    result = verdict(scores, attack=(10, 16))
    assert result.seen == (Seen("recon/scan", 1.0, 2.0),)
    assert (result.false_incidents, result.window_far) == (0, 0.0)


def test_windows_of_others_and_of_other_times_do_not_count():
    scores = np.zeros(80)
    scores[11:30:2] = 10  # endpoint b while a is attacked
    scores[50:60:2] = 10  # endpoint a, much later
    result = verdict(scores, attack=(10, 28))
    assert result.seen[0].after_s is None
    assert result.false_incidents == 2
    assert result.false_per_day == 2
    assert result.window_far > 0


def test_evidence_that_is_mostly_of_other_windows_does_not_count():
    scores = np.zeros(60)
    run = run_of(scores, attack=(10, 40))
    scores[10:24:2] = 10
    lucky = Run(
        run.name, run.rows, (Instance("recon/scan", np.array([22]), run.instances[0].during, 0),), run.benign, 1
    )
    assert judge([lucky], [scores], OPERATING).seen[0].after_s is None


def test_incidents_that_follow_each_other_closely_are_one():
    scores = np.zeros(400)
    scores[[0, 2, 4, 20, 22, 24]] = 10
    assert verdict(scores).false_incidents == 1
    scores[[300, 302, 304]] = 10
    assert verdict(scores).false_incidents == 2


def test_types_and_families_count_alike_whatever_their_number():
    seen = [Seen("a/x", 1.0, 1.0)] * 8 + [Seen("a/y", 0.0, None), Seen("b/z", 0.5, None)]
    assert macro(seen, "incident", "type") == pytest.approx(1 / 3)
    assert macro(seen, "incident", "family") == pytest.approx(0.25)
    assert macro(seen, "window", "family") == pytest.approx(0.5)
    low, high = interval([Seen("a/x", 1.0, 1.0), Seen("a/x", 0.0, None)] * 10, "incident", "type")
    assert 0.2 < low < 0.5 < high < 0.8


def test_the_level_is_the_least_that_benign_streams_allow():
    config = IncidentConfig()
    odd = [Stream([SECOND * at for at in range(10)], [weight] * 2 + [-2.0] * 8) for weight in (4.0, 6.0, 5.0)]
    assert level_for(odd, 10, config) == 12.0  # 6 and, a second later, 6 again; a little has faded
    assert level_for(odd, 50, config) == LEAST_LEVEL + 3.0
    assert level_for(odd[:1], 200, config) == LEAST_LEVEL
    assert level_for([], 0, config) == LEAST_LEVEL


@given(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 2), st.floats(0.00001, 1)), min_size=1, max_size=80))
def test_streams_open_when_the_tracker_does(bundle, sightings):
    """The trainer's count of incidents is that of the agent."""
    sightings = sorted(sightings)
    config = IncidentConfig(open_level=6.0)
    single, whole = (IncidentTracker(bundle, MODEL, 3.0, "b", config, random.Random(1)) for _ in range(2))
    told = [alert for one in sightings for alert in single.observe(*windows_of(bundle, [one]))]
    assert whole.observe(*windows_of(bundle, sightings)) == told, "how windows are batched must not matter"
    endpoint = np.array([str(device) for _, device, _ in sightings], dtype=object)
    last_us = np.array([second * SECOND for second, _, _ in sightings])
    weight = weights(np.array([p_value for _, _, p_value in sightings]), config.drift, config.cap)
    opened = [ts_us for stream in streams(endpoint, last_us, weight) for ts_us in stream.opened(6.0, config)]
    assert sorted(time_text(ts_us) for ts_us in opened) == sorted(one.ts for one in told if one.state == "new")


def windows_of(bundle, sightings):
    """Scored windows of (second, device, p-value)."""
    number = len(sightings)
    empty = empty_windows(len(bundle.schema.columns))
    values = {name: np.zeros(number, getattr(empty, name).dtype) for name in empty.__slots__ if name != "features"}
    values["id_lo"] = np.array([device for _, device, _ in sightings], np.uint64)
    values["kind"] = np.full(number, 1, np.uint8)
    values["first_us"] = values["last_us"] = np.array([second * SECOND for second, _, _ in sightings])
    windows = type(empty)(features=np.zeros((number, len(bundle.schema.columns))), **values)
    p_value = np.array([p_value for _, _, p_value in sightings])
    errors = np.ones((number, len(bundle.schema.columns)), np.float32)
    return windows, Scored(np.arange(number), np.ones(number, np.float32), p_value, np.zeros(number, bool), errors)


def test_calibration_runs_open_no_more_than_allowed():
    rng = np.random.default_rng(2)
    scores = rng.pareto(3, 6000)
    scores[100:130] += 20
    run = run_of(scores, device_hours=3.3)
    operating = operate([run], [scores])
    assert judge([run], [scores], operating).false_incidents == 0
    assert (scores > operating.threshold).mean() == pytest.approx(0.01, abs=0.002)


@pytest.mark.parametrize("baseline", BASELINES, ids=lambda one: one.name)
def test_baselines_score_strange_rows_higher(baseline):
    score = baseline.fit(benign_rows(1, 600), EDGE_V1, 7)
    benign, strange = benign_rows(2, 100), benign_rows(2, 100)
    strange[:, :40] = strange[:, :40] * 5 + 3
    assert np.median(score(strange)) > np.median(score(benign))
    assert np.isfinite(score(strange)).all()


def test_a_comparison_scores_each_run_once():
    calibration, test = run_of(np.zeros(1200)), run_of(np.zeros(1200), attack=(10, 40))
    score = BASELINES[0].fit(benign_rows(1, 600), EDGE_V1, 7)
    (result,) = compare([("rules", score)], [calibration], [test])
    assert [len(one) for one in result.scores] == [1200]
    assert result.verdicts[0] is not None
    assert result.verdicts[1] is None, "1200 benign rows say nothing about one false alarm in 1000"


BASE = 1_700_000_000_000_000


def test_a_recording_is_read_with_its_attacks_and_their_echo(tmp_path):
    """Device 1 attacks device 2 from second 40 to 50, and meets device 3, no victim but no longer benign."""
    packets = []
    for at in range(160):
        for device in (1, 2, 3):
            octets = f.ether(
                f.ipv4(f.udp(b"x", 5000, 53), f"10.0.0.{device}", "203.0.113.9", f.UDP), src=device, dst=9
            )
            packets.append((BASE + at * SECOND + device, octets))
        if 40 <= at < 50:
            for victim in (2, 3):
                octets = f.ether(f.ipv4(f.udp(b"y", 9, 9), "10.0.0.1", f"10.0.0.{victim}", f.UDP), src=1, dst=victim)
                packets.append((BASE + at * SECOND + 100, octets))
    cf.write_pcap(tmp_path / "capture.pcap", packets)
    label = f"{BASE + 40 * SECOND},{BASE + 50 * SECOND},10.0.0.1,10.0.0.2,recon,scan\n"
    (tmp_path / "labels.csv").write_text("start_us,end_us,attacker,victim,family,type\n" + label)
    with pytest.raises(FeatureFileError, match="lock"):
        read_run(tmp_path, EDGE_V1)
    (tmp_path / "scenario.lock.toml").write_text("[[device]]\nname = 'd1'\n" * 3)
    run = read_run(tmp_path, EDGE_V1)
    (instance,) = run.instances
    assert run.device_hours == pytest.approx(3 * 159 / 3600, rel=0.01)
    assert set(run.rows.endpoint[instance.held]) == {f.mac(1).hex(":"), f.mac(2).hex(":")}
    third = run.rows.endpoint == f.mac(3).hex(":")
    touched = (run.rows.last_us >= BASE + 40 * SECOND) & (run.rows.first_us < BASE + 50 * SECOND)
    assert not run.benign[third & touched].any()
    assert run.benign[third & ~touched].all()
    echo = (run.rows.first_us > BASE + 50 * SECOND) & (run.rows.last_us < BASE + 75 * SECOND)
    assert not run.benign[~third & echo].any()
    assert run.benign[~third & (run.rows.first_us > BASE + 81 * SECOND)].all()
