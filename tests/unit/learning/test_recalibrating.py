"""A site's own windows give the calibration; none of them judges what it was fitted to."""

import numpy as np
import pytest

from emtc_agent.detector.calibration import Recalibration, p_values, score_at, table
from emtc_agent.incidents import IncidentConfig, IncidentTracker
from emtc_agent.learning.probe import Probe
from emtc_agent.learning.recalibrating import LEAST_WEIGHT, RecalibrationConfig, error_weights, recalibrate
from emtc_agent.learning.rows import rows_of
from emtc_agent.learning.trial import Judge, Trial, device_hours, most_likely
from emtc_contract.errors import InputError
from samples import MODEL
from site_windows import COLUMNS, SECOND, START_US, benign_errors, scored_of, shipped, windows_of

JUDGE = Judge(8.5, IncidentConfig())
OWN = Recalibration(np.ones(COLUMNS, np.float32), 60.0, *table(np.random.default_rng(9).gamma(30, 1, 5_000)))


def site(size, seed=1, louder=None, first_order=0, errors=None):
    """Windows of four devices, one window a second, scored with ``OWN``."""
    rng = np.random.default_rng(seed)
    errors = benign_errors(rng, size, louder) if errors is None else errors
    order = first_order + np.arange(size)
    score = 0.5 * errors.sum(1) + rng.gamma(3, 1, size)
    p_value = p_values(score, (OWN.scores, OWN.shares))
    windows = windows_of(START_US + order * SECOND, order % 4)
    return rows_of(windows, scored_of(p_value, errors, score), first_order)


def test_later_windows_exceed_a_learned_threshold_as_often_as_they_should():
    sample, trial = site(4_000, 1, {3: 20.0}), site(2_000, 2, {3: 20.0}, 4_000)
    outcome = recalibrate(sample, trial, JUDGE, OWN)
    assert outcome.before.above_1 > 0.1
    assert 0.03 < outcome.after.above_5 < 0.07
    assert 0.003 < outcome.after.above_1 < 0.02
    assert outcome.after.incidents <= outcome.before.incidents
    assert outcome.site.threshold == pytest.approx(score_at(0.01, (outcome.site.scores, outcome.site.shares)))


def test_a_loud_feature_counts_less_within_bounds_and_a_quiet_one_never_more():
    errors = benign_errors(np.random.default_rng(1), 2_000, {3: 8.0, 4: 1e6, 5: 0.01})
    weights = error_weights(errors, RecalibrationConfig())
    assert 1 / 8 < weights[3] < 1 / 4
    assert weights[4] == np.float32(LEAST_WEIGHT)
    assert weights[5] == 1
    assert (weights[6:] > 0.9).all()


def test_a_few_poisoned_windows_do_not_move_the_weights():
    errors = benign_errors(np.random.default_rng(1), 2_000)
    poisoned = errors.copy()
    poisoned[:80, 7] = 5_000  # 4 %
    config = RecalibrationConfig()
    assert error_weights(poisoned, config)[7] > 0.7
    assert error_weights(poisoned, RecalibrationConfig(trimmed=0))[7] < 0.01 + LEAST_WEIGHT


def test_what_judges_was_fitted_to_nothing():
    sample = site(4_000)
    calm, wild = site(2_000, 2, None, 4_000), site(2_000, 3, {3: 50.0}, 4_000)
    one, other = recalibrate(sample, calm, JUDGE, OWN), recalibrate(sample, wild, JUDGE, OWN)
    assert one.site.scores == other.site.scores
    assert other.after.above_1 > one.after.above_1
    late = recalibrate(site(6_000), calm, JUDGE, OWN)  # a sample that reaches into the trial
    assert late.site.scores == recalibrate(site(6_000).take(slice(0, 4_000)), calm, JUDGE, OWN).site.scores


@pytest.mark.parametrize(
    ("sample", "trial", "said"),
    [(500, 200, "to calibrate on"), (4_000, 50, "to judge on"), (0, 200, "0 windows to calibrate on")],
)
def test_too_few_windows_teach_nothing(sample, trial, said):
    with pytest.raises(InputError, match=said):
        recalibrate(site(sample), site(trial, 2, None, max(sample, 1)), JUDGE, OWN)


def test_equal_scores_teach_nothing():
    same = site(1_000, errors=np.ones((1_000, COLUMNS), np.float32))
    same.score[:] = 30.0
    with pytest.raises(InputError, match="all the same"):
        recalibrate(same, site(200, 2, None, 1_000), JUDGE, OWN)


def test_the_made_up_attacks_are_asked_before_and_after():
    attacks = benign_errors(np.random.default_rng(5), 500, {8: 80.0})
    probe = Probe(attacks, 0.5 * attacks.sum(1))
    loud = recalibrate(site(4_000, 1, {3: 40.0}), site(1_000, 2, {3: 40.0}, 4_000), JUDGE, OWN, probe)
    assert loud.before.attacks_seen == probe.seen(OWN)
    assert loud.after.attacks_seen == probe.seen(loud.site)
    assert loud.after.attacks_seen < loud.before.attacks_seen


def test_undoing_an_overlay_gives_the_models_own_scores():
    rows = site(100)
    other = Recalibration(np.linspace(LEAST_WEIGHT, 1, COLUMNS).astype(np.float32), 1.0, (), ())
    errors, score = other.undo(*other.apply(rows.errors, rows.score))
    assert np.allclose(errors, rows.errors, rtol=1e-5)
    assert np.allclose(score, rows.score, rtol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_the_judge_counts_the_incidents_that_the_tracker_opens(seed):
    rng = np.random.default_rng(seed)
    gaps = rng.choice([0.1, 1.0, 20.0, 90.0], 600, p=[0.4, 0.4, 0.15, 0.05])
    last_us = START_US + (np.cumsum(gaps) * SECOND).astype(np.int64)
    p_value = 10 ** -rng.choice([0.3, 1.5, 3.0, 5.0], 600, p=[0.5, 0.2, 0.2, 0.1])
    windows, scored = windows_of(last_us, rng.integers(1, 4, 600)), scored_of(p_value)
    tracker = IncidentTracker(shipped(), MODEL, 60.0, "b", IncidentConfig(open_level=8.5))
    tracker.observe(windows, scored)
    assert tracker.opened > 3
    assert JUDGE.figures(rows_of(windows, scored, 0), p_value).incidents == tracker.opened


def test_a_trial_keeps_the_latest_windows_only():
    trial = Trial(COLUMNS, 1_000)
    for at in range(0, 5_000, 10):
        trial.add(site(10, 1, None, at))
    assert trial.rows().order.tolist() == list(range(4_000, 5_000))
    assert trial.rows(4_900).order.tolist() == list(range(4_900, 5_000))


def test_device_hours_do_not_count_long_silence():
    last_us = START_US + np.array([0, 600, 1_200, 90_000, 90_600]) * SECOND
    rows = rows_of(windows_of(last_us, 1), scored_of(np.full(5, 0.5)), 0)
    assert device_hours(rows) == pytest.approx(4 * 600 / 3_600, rel=1e-3)


@pytest.mark.parametrize(
    ("count", "exact"), [(0, 2.996), (1, 4.744), (5, 10.513), (30, 40.691)]
)  # R: qgamma(.95, n+1)
def test_the_upper_end_of_a_count(count, exact):
    assert most_likely(count) == pytest.approx(exact, abs=0.1)
