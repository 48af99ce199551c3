"""Learning from start to overlay, through restarts, clocks that jump, and damage."""

import logging

import numpy as np
import pytest

from emtc_agent.detector.calibration import Recalibration, p_values, table
from emtc_agent.learning import Learner, LearnFiles, LearningConfig, load_overlay
from emtc_agent.learning.device_key import DeviceKey
from emtc_agent.learning.probe import Probe
from emtc_agent.learning.report import told
from emtc_contract.errors import InputError
from site_windows import COLUMNS, SECOND, START_US, benign_errors, key, scored_of, shipped, windows_of

BUNDLE = shipped()
ARTIFACT = BUNDLE.manifest.artifacts[0]
TABLE = ARTIFACT.calibration_scores, ARTIFACT.calibration_p
LOUD = {3: 1e5}


class Gateway:
    """A daemon's part in learning: ten devices, ten windows a second."""

    def __init__(self, folder, *, louder=None, seed=1, **options):
        self.learner = Learner(LearnFiles.inside(folder), BUNDLE, ARTIFACT, **options)
        self.rng = np.random.default_rng(seed)
        self.louder = louder
        self.now_us = START_US
        self.windows = 0

    def live(self, seconds, *, suspects=(), site=None):
        """Let time pass in steps of ten seconds; returns the report if there is one."""
        for _ in range(0, seconds, 10):
            devices = np.tile(np.arange(10), 10)
            last_us = self.now_us + np.repeat(np.arange(10), 10) * SECOND
            errors = benign_errors(self.rng, 100, self.louder)
            score = (0.5 * errors.sum(1) + self.rng.gamma(3, 2, 100)).astype(np.float32)
            p_value = p_values(score.astype(float), TABLE)
            if site is not None:
                errors, score = site.apply(errors, score)
            self.learner.observe(windows_of(last_us, devices), scored_of(p_value, errors, score), suspects)
            self.windows += 100
            self.now_us += 10 * SECOND
            report = self.learner.tick(self.now_us)
            if report:
                return report
        return None


def begun(folder, seconds=600, **options):
    gateway = Gateway(folder, **options)
    gateway.learner.start(gateway.now_us, seconds)
    return gateway


def loaded(folder):
    return load_overlay(folder / "site.overlay", DeviceKey(folder / "device.key"), BUNDLE, ARTIFACT)


def test_a_time_of_learning_ends_with_an_overlay_and_a_report(tmp_path):
    gateway = begun(tmp_path)
    assert gateway.live(590) is None
    assert gateway.learner.state().active
    report = gateway.live(10)
    assert report.learned, report.reason
    assert (report.seen, report.endpoints, report.seconds) == (6_000, 10, 600)
    overlay = loaded(tmp_path)
    assert (overlay.before, overlay.after) == (report.before, report.after)
    assert overlay.windows == report.sampled
    assert not gateway.learner.state().active
    assert gateway.learner.state().last == report
    assert not (tmp_path / "learning.state").exists()
    assert "learned" in told(report)


def test_nothing_is_taken_in_when_nothing_is_learned(tmp_path):
    gateway = Gateway(tmp_path)
    assert gateway.live(100) is None
    assert gateway.learner.state().seen == 0
    assert gateway.learner.finish(gateway.now_us) is None
    with pytest.raises(InputError, match="nothing is being learned"):
        gateway.learner.sampled()


def test_a_restart_in_the_middle_costs_what_came_after_the_last_snapshot_only(tmp_path):
    config = LearningConfig(snapshot_every_s=100)
    first = begun(tmp_path, config=config)
    first.live(350)
    second = Gateway(tmp_path, config=config, seed=2)
    state = second.learner.state()
    assert (state.active, state.elapsed_s, state.seen) == (True, 300, 3_000)
    second.now_us = first.now_us + 86_400 * SECOND  # a day without power is no learning
    assert second.live(290) is None
    report = second.live(20)
    assert report.learned, report.reason
    assert 5_900 <= report.seen <= 6_100


def test_a_clock_that_jumps_ends_nothing(tmp_path):
    gateway = begun(tmp_path)
    gateway.live(100)
    gateway.now_us += 10 * 365 * 86_400 * SECOND
    assert gateway.live(10) is None
    gateway.now_us -= 9 * 365 * 86_400 * SECOND
    assert gateway.live(100) is None
    assert gateway.learner.state().elapsed_s <= 300


def test_a_damaged_snapshot_ends_learning_with_a_warning(tmp_path, caplog):
    begun(tmp_path).live(100)
    path = tmp_path / "learning.state"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with caplog.at_level(logging.WARNING):
        assert not Gateway(tmp_path).learner.active
    assert "learning cannot go on" in caplog.text
    assert not path.exists()


def test_a_snapshot_of_another_model_is_not_used(tmp_path, caplog):
    begun(tmp_path)
    other = BUNDLE.manifest.artifacts[-1]
    assert other.sha256 != ARTIFACT.sha256
    with caplog.at_level(logging.WARNING):
        assert not Learner(LearnFiles.inside(tmp_path), BUNDLE, other).active
    assert "another model" in caplog.text


def test_a_full_disk_costs_snapshots_but_not_learning(tmp_path, caplog):
    gateway = begun(tmp_path, config=LearningConfig(snapshot_every_s=50))
    (tmp_path / ".learning.state.part").mkdir()  # nothing can be written there
    with caplog.at_level(logging.WARNING):
        report = gateway.live(600)
    assert "would lose what was learned" in caplog.text
    assert report.learned, report.reason


def test_an_odd_site_learns_nothing_unless_it_is_trusted(tmp_path):
    report = begun(tmp_path, louder=LOUD).live(600)
    assert not report.learned
    assert "trust the site" in report.reason
    assert not (tmp_path / "site.overlay").exists()
    trusted = Gateway(tmp_path, louder=LOUD)
    trusted.learner.start(trusted.now_us, 600, trusted=True)
    report = trusted.live(600)
    assert report.learned, report.reason
    assert report.before.above_1 > 0.3
    assert report.after.above_1 < 0.02
    assert sum(report.odd_of.values()) > 1_000
    assert loaded(tmp_path).weights[BUNDLE.schema.columns[3]] < 0.1


def test_an_incident_keeps_its_endpoint_out_of_what_is_learned(tmp_path):
    gateway = begun(tmp_path)
    gateway.live(320)
    gateway.live(10, suspects={key(4)})
    gateway.live(200)
    mine = [one for one in gateway.learner.sampled().endpoints() if one == key(4)]
    assert len(mine) == 20  # of the first twenty seconds, more than five minutes before
    assert len(set(gateway.learner.sampled().endpoints())) == 10


def test_learning_again_starts_from_the_models_own_scores(tmp_path):
    site = Recalibration(np.linspace(0.1, 1, COLUMNS).astype(np.float32), 50.0, *TABLE)
    plain, again = begun(tmp_path / "a"), begun(tmp_path / "b", in_use=site)
    plain.live(600)
    again.live(600, site=site)
    one, other = loaded(tmp_path / "a"), loaded(tmp_path / "b")
    assert np.allclose(one.scores, other.scores, rtol=1e-3)
    assert one.weights.keys() == other.weights.keys()


@pytest.fixture(autouse=True)
def folders(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()


def test_an_overlay_that_makes_the_detector_blind_is_not_written(tmp_path):
    errors = np.zeros((100, COLUMNS), np.float32)
    errors[:, 3] = 400.0
    probe = Probe(errors, 0.5 * errors.sum(1))
    gateway = Gateway(tmp_path, louder=LOUD, probe=lambda: probe)
    gateway.learner.start(gateway.now_us, 600, trusted=True)
    report = gateway.live(600)
    assert (report.before.attacks_seen, report.after.attacks_seen) == (1, 0)
    assert not report.learned
    assert "made-up attacks" in report.reason
    assert not (tmp_path / "site.overlay").exists()


def test_an_overlay_that_would_open_more_incidents_is_not_written(tmp_path):
    gateway = begun(tmp_path)
    gateway.live(450)
    gateway.louder = {9: 20.0}  # odder than what was learned, not odd for the bundle
    report = gateway.live(150)
    assert report.before.incidents == 0
    assert report.after.incidents > 0
    assert not report.learned
    assert "would open" in report.reason


def test_learning_can_be_given_up(tmp_path):
    gateway = begun(tmp_path)
    gateway.live(100)
    gateway.learner.cancel()
    assert not gateway.learner.active
    assert not Gateway(tmp_path).learner.active


def test_an_unknown_family_is_refused(tmp_path):
    with pytest.raises(InputError, match="no family of attack is called 'floods'"):
        Gateway(tmp_path).learner.start(0, 600, trusted=True, accepted=("floods",))


def test_tables_of_the_site_reach_as_far_as_the_bundles(tmp_path):
    begun(tmp_path).live(600)
    assert loaded(tmp_path).shares[-1] == pytest.approx(1e-9)
    assert table(np.arange(1_000.0))[1][-1] == pytest.approx(1e-9)
