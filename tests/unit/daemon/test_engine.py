"""The engine while things change under it: the model, what was learned, the rules, the site."""

import logging

import numpy as np
import pytest

from emtc_agent.daemon.engine import Figures
from emtc_agent.detector import load_bundle
from emtc_agent.feature_files import read_csv
from emtc_agent.incidents import IncidentConfig
from emtc_agent.incidents.suppression import Rule
from emtc_contract.edge_v1 import EDGE_V1
from emtc_contract.errors import BundleError, InputError
from engines import Site, model_in
from model_updates import Maker
from site_windows import SECOND, SHIPPED, START_US, flood_features, scored_of, windows_of

HOUR_S = 3_600
FULL = 0.05  # a p-value that drift counts as unusual, and incidents do not


@pytest.fixture(scope="module")
def maker(tmp_path_factory):
    return Maker(tmp_path_factory.mktemp("maker"))


@pytest.fixture(scope="module")
def newer(maker):
    """The shipped model under another version."""
    return model_in(maker.bundle(20_300_001))


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def learned(site, seconds=600, **how):
    """Learns for so long; returns the report."""
    site.engine.learner.start(site.now_us, seconds, **how)
    site.benign(seconds)
    site.engine.close()
    return site.engine.report


def test_a_switch_keeps_devices_counters_and_open_incidents(site, newer):
    (new,) = [one for one in site.scans(1) if one.state == "new"]
    site.scans(2)
    site.passes(0, shift_us=7 * SECOND)
    before = site.engine.pipeline
    stats, scored, open_before = before.stats, before.scored, before.tracker.open_keys
    site.engine.switch(newer)
    after = site.engine.pipeline
    assert after is not before
    assert (after.stats, after.scored, after.tracker.open_keys) == (stats, scored, open_before)
    assert after.tracker.find(new.id).seq == new.seq + 1
    assert after.tracker.teller.shift_us == 7 * SECOND
    told = site.scans(1, parts=12) + site.passes(2_000)
    mine = [one for one in told if one.endpoint.ip == "10.1.0.1"]
    assert {one.id for one in mine} == {new.id}
    assert [one.seq for one in mine] == list(range(1, 1 + len(mine)))
    assert mine[-1].state == "end"
    assert {one.model.version for one in mine} == {20_300_001}
    assert site.engine.pipeline.stats.endpoints == stats.endpoints, "the devices are known"


def test_info_tells_the_model_in_use(site, newer):
    assert site.engine.info.bundle_version == load_bundle(SHIPPED).manifest.version
    site.engine.switch(newer)
    assert (site.engine.info.bundle_version, site.engine.info.interfaces) == (20_300_001, ("eth0",))


def test_rules_that_changed_stay_changed_over_a_switch(site, newer):
    site.engine.change_incidents(IncidentConfig(close_after_s=5.0))
    site.engine.switch(newer)
    site.scans(1)
    assert [one.state for one in site.passes(20)] == ["end"]


def test_suppression_stays_over_a_switch(site, newer):
    site.suppression.add(Rule(id="x", endpoint="10.1.0.1"))
    site.engine.switch(newer)
    assert site.scans(1) == []
    assert site.engine.pipeline.tracker.open == 1


def test_figures_are_those_since_the_last_look_and_of_the_model_in_use(site, newer):
    site.scans(1)
    first = site.engine.take_figures()
    assert first.windows == site.engine.pipeline.scored > 0
    assert 0 < first.unusual <= first.windows
    assert first.seconds > 0
    assert first.incidents == 1
    assert site.engine.take_figures() == Figures()
    site.scans(2)
    site.engine.switch(newer)
    site.engine.take_figures()
    site.scans(3)
    assert site.engine.take_figures().incidents == 1


def test_learning_ends_with_an_overlay_in_use(site, caplog):
    own = site.engine.pipeline.scorer.threshold
    with caplog.at_level(logging.INFO):
        report = learned(site)
    assert report.learned, report.reason
    assert "learning ended: an overlay was written" in caplog.text
    scorer = site.engine.pipeline.scorer
    assert scorer.threshold == site.engine.pipeline.tracker.teller.threshold != own
    assert site.engine.learner.in_use is scorer._site is not None
    assert not site.engine.learner.active


def test_what_was_learned_is_used_by_the_next_run(site, tmp_path):
    learned(site)
    again = Site(tmp_path)
    assert again.engine.pipeline.scorer.threshold == site.engine.pipeline.scorer.threshold
    assert again.engine.pipeline.scorer._site.threshold == again.engine.learner.in_use.threshold


def test_what_was_learned_with_another_model_is_not_used(site, newer, caplog):
    learned(site)
    own = newer.runtime.artifact.threshold
    with caplog.at_level(logging.WARNING):
        site.engine.switch(newer)
    assert "what was learned on site is not used" in caplog.text
    assert site.engine.pipeline.scorer.threshold == site.engine.pipeline.tracker.teller.threshold == own
    assert site.engine.learner.in_use is None
    site.engine.switch(model_in())
    assert site.engine.pipeline.scorer.threshold != own, "back at the model it was learned with"


@pytest.mark.parametrize("damage", [b"", b"{}\n{}\n", b"\xff" * 1_000])
def test_a_damaged_overlay_is_not_used(site, tmp_path, damage):
    learned(site)
    own = site.engine.model.runtime.artifact.threshold
    (tmp_path / "site.overlay").write_bytes(damage)
    again = Site(tmp_path)
    assert again.engine.pipeline.scorer.threshold == own
    again.scans(1)
    assert again.engine.pipeline.tracker.open == 1


def test_forgetting_goes_back_to_the_bundle(site, tmp_path):
    own = site.engine.pipeline.scorer.threshold
    assert not site.engine.forget_learned()
    learned(site)
    assert site.engine.forget_learned()
    assert site.engine.pipeline.scorer.threshold == site.engine.pipeline.tracker.teller.threshold == own
    assert site.engine.learner.in_use is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["device.key"]
    assert not site.engine.forget_learned()


def test_what_cannot_be_forgotten_is_said(site, tmp_path):
    learned(site)
    (tmp_path / "site.overlay").unlink()
    (tmp_path / "site.overlay").mkdir()
    with pytest.raises(InputError, match=r"cannot be removed: .*site.overlay: Is a directory"):
        site.engine.forget_learned()


def test_the_learned_windows_are_a_feature_file(site, tmp_path):
    report = learned(site)
    rows = read_csv(tmp_path / "learned.csv", {EDGE_V1.name: EDGE_V1})
    assert len(rows) == report.sampled > 1_000
    assert set(rows.endpoint) == {f"10.0.0.{one}" if one else "10.0.0.0" for one in range(10)}
    assert set(rows.label) == {""}
    assert (np.diff(rows.last_us) >= 0).all()
    assert START_US <= rows.last_us.min() < rows.last_us.max() <= site.now_us
    assert not list(tmp_path.glob(".*"))


def test_a_run_that_changes_nothing_leaves_its_windows_all_the_same(site, tmp_path):
    """They are what a model for an odd site is trained on."""
    site.engine.learner.start(site.now_us, 60)
    site.benign(60)
    site.engine.close()
    assert not site.engine.report.learned
    rows = read_csv(tmp_path / "learned.csv", {EDGE_V1.name: EDGE_V1})
    assert len(rows) == site.engine.report.sampled > 0


def test_the_features_are_those_of_the_windows(site, tmp_path):
    site.engine.learner.start(site.now_us, 60, trusted=True, accepted=("flood",))
    rows = flood_features(50)
    last_us = site.now_us + np.arange(50) * SECOND
    site.engine.pipeline.observers[0](windows_of(last_us, 1, rows), scored_of(np.full(50, 0.5)), 0.0)
    site.passes(50)
    site.passes(50)
    site.engine.close()
    kept = read_csv(tmp_path / "learned.csv", {EDGE_V1.name: EDGE_V1})
    assert kept.features.tolist() == rows.astype(np.float32).astype(float).tolist()


def test_a_run_that_saw_nothing_leaves_the_windows_of_the_last_one(site, tmp_path):
    learned(site)
    before = (tmp_path / "learned.csv").read_bytes()
    site.engine.learner.start(site.now_us, 5)
    site.passes(10)
    site.engine.close()
    assert not site.engine.report.learned
    assert (tmp_path / "learned.csv").read_bytes() == before


def test_windows_that_cannot_be_written_are_logged_and_nothing_else(site, tmp_path, caplog):
    (tmp_path / "learned.csv").mkdir()
    with caplog.at_level(logging.WARNING):
        report = learned(site)
    assert "learned windows are not kept" in caplog.text
    assert report.learned, report.reason
    assert site.engine.learner.in_use is not None


def test_what_a_killed_process_left_of_a_feature_file_is_removed(site, tmp_path):
    left = tmp_path / ".learned.csv.new.123.part"
    left.write_text("half")
    learned(site)
    assert not left.exists()
    assert (tmp_path / "learned.csv").exists()


def test_without_a_state_folder_nothing_is_learned(newer):
    site = Site()
    assert site.engine.learner is None
    assert not site.engine.forget_learned()
    site.scans(1)
    site.engine.switch(newer)
    site.engine.close()
    assert site.engine.pipeline.tracker.open == 1


def test_a_bundle_that_cannot_be_learned_with_still_judges(tmp_path, maker):
    site = Site(tmp_path, model_in(maker.small_bundle(20_300_009)))
    with pytest.raises(BundleError, match=r"check\.npz"):
        site.engine.learner.start(site.now_us, 600)
    assert not site.engine.learner.active
    assert site.scans(1)[0].state == "new"


def test_a_switch_ends_learning_as_it_was_scored_by_the_other_model(site, newer, tmp_path):
    site.engine.learner.start(site.now_us, 600)
    site.benign(100)
    site.engine.switch(newer)
    assert not site.engine.learner.active
    assert not (tmp_path / "learning.state").exists()


def test_drift_is_noted_while_it_lasts(site, caplog):
    for _ in range(3):
        site.benign(HOUR_S)
    assert site.engine.drift is None
    with caplog.at_level(logging.WARNING):
        for _ in range(6):
            site.benign(HOUR_S, {3: 40.0}, FULL)
    drift = site.engine.drift
    assert drift.ratio > 5
    assert drift.features[0] == EDGE_V1.columns[3]
    assert caplog.text.count("drift: unusual windows are") == 1, "told once"
    for _ in range(12):
        site.benign(HOUR_S, None, 0.5)
    assert site.engine.drift is None


def test_drift_is_measured_anew_after_learning(site):
    for _ in range(6):
        site.benign(HOUR_S, {3: 40.0}, FULL)
    assert site.engine.drift is not None
    site.engine.use_learned()
    assert site.engine.drift is None


def test_an_earlier_run_is_gone_on_with(site):
    (new, *_) = site.scans(1)
    records = site.engine.pipeline.tracker.records()
    again = Site()
    again.now_us = site.now_us
    again.engine.restore(records, again.now_us)
    told = again.scans(1) + again.passes(2_000)
    assert {one.id for one in told} == {new.id}
    assert [one.seq for one in told] == list(range(records[0].seq, records[0].seq + len(told)))
    assert told[-1].state == "end"
