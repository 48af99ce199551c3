"""A new model stays unless it is slow, cries wolf or sees nothing, compared with the one before it."""

import pytest

from emtc_agent.updates.trial import Baseline, Expected, Trial, TrialConfig, Verdict

CONFIG = TrialConfig()
HOUR_S = 3_600.0
USUAL = Expected(seconds_per_window=1e-3, unusual_share=0.01, incidents_per_h=10.0)


def trial(config=CONFIG, expected=USUAL, **others):
    return Trial(config, expected, 100.0, **others)


def decision(one, after_s):
    return one.verdict(100.0 + after_s).decision


def test_a_model_like_the_one_before_is_confirmed_when_the_time_is_over():
    one = trial()
    for second in range(3_599):
        one.observe(10, 0.01, int(second % 10 == 0), int(second % 360 == 0))
        assert decision(one, second) == "wait"
    assert one.verdict(100.0 + HOUR_S) == Verdict("confirm")


def test_time_of_processes_before_counts():
    one = trial(passed_s=3_000.0)
    one.observe(500, 0.5, 0, 0)
    assert decision(one, 599.0) == "wait"
    assert decision(one, 600.0) == "confirm"
    assert one.passed_s(0.0) == 3_000.0, "a clock that went back takes nothing away"


def test_without_traffic_it_takes_longer_but_not_forever():
    one = trial()
    one.observe(CONFIG.min_windows - 1, 0.1, 0, 0)
    assert decision(one, HOUR_S) == "wait"
    assert decision(one, CONFIG.longest_s - 1) == "wait"
    assert decision(one, CONFIG.longest_s) == "confirm"


@pytest.mark.parametrize(
    ("expected_s", "took_s", "decided"),
    [
        (1e-3, 4.9e-3, "wait"),
        (1e-3, 5.1e-3, "roll back"),
        (1e-5, 1.9e-3, "wait"),  # two hundred times slower, and still nobody notices
        (1e-5, 2.1e-3, "roll back"),
        (None, 1.9e-3, "wait"),
        (None, 2.1e-3, "roll back"),
    ],
)
def test_slowness_is_relative_above_a_floor(expected_s, took_s, decided):
    one = trial(expected=Expected(seconds_per_window=expected_s))
    one.observe(199, 199 * took_s, 0, 0)
    assert decision(one, 1.0) == "wait", "too few windows"
    one.observe(1, took_s, 0, 0)
    assert decision(one, 1.0) == decided


@pytest.mark.parametrize(
    ("share", "windows", "unusual", "decided"),
    [
        (None, 10_000, 200, "wait"),
        (None, 10_000, 256, "wait"),
        (None, 10_000, 257, "roll back"),
        (None, 200, 12, "wait"),
        (None, 200, 13, "roll back"),
        (0.02, 10_000, 1_000, "wait"),  # its predecessor was nervous too
        (0.02, 10_000, 1_200, "roll back"),
    ],
)
def test_too_many_unusual_windows(share, windows, unusual, decided):
    one = trial(expected=Expected(unusual_share=share))
    one.observe(windows, 0.0, unusual, 0)
    assert decision(one, 1.0) == decided


def test_a_model_that_sees_nothing_where_something_is_expected():
    one = trial(TrialConfig(min_unusual_share=0.01))
    one.observe(1_000, 0.0, 0, 0)
    assert decision(one, 1.0) == "wait", "chance"
    one.observe(1_000, 0.0, 0, 0)
    assert one.verdict(101.0) == Verdict("roll back", "0 of 2000 windows unusual, expected at least 0.01")


@pytest.mark.parametrize(
    ("per_h", "after_s", "incidents", "decided"),
    [
        (None, 60.0, 13, "wait"),
        (None, 60.0, 14, "roll back"),
        (None, HOUR_S / 2, 22, "wait"),
        (None, HOUR_S / 2, 23, "roll back"),
        (10.0, HOUR_S / 2, 45, "wait"),
        (10.0, HOUR_S / 2, 46, "roll back"),
    ],
)
def test_too_many_incidents_also_from_few_windows(per_h, after_s, incidents, decided):
    one = trial(expected=Expected(incidents_per_h=per_h))
    one.observe(incidents, 0.0, 0, incidents)
    assert decision(one, after_s) == decided


def test_the_baseline_is_the_recent_past():
    baseline = Baseline(0.0)
    baseline.observe(0.0, 199, 1.0, 1, 1)
    assert baseline.expected(HOUR_S, CONFIG) == Expected()
    took_s, unusual, incidents = {}, {}, {}
    for hour, factor in ((24, 1), (48, 2), (72, 1)):
        for minute in range(60 * (hour - 24), 60 * hour):
            baseline.observe(60.0 * minute, 100, 0.2 * factor, factor, factor)
        expected = baseline.expected(HOUR_S * hour, CONFIG)
        took_s[hour], unusual[hour] = expected.seconds_per_window, expected.unusual_share
        incidents[hour] = expected.incidents_per_h
    assert took_s == pytest.approx({24: 2e-3, 48: 4e-3, 72: 2e-3}, rel=0.02)
    assert unusual == pytest.approx({24: 0.01, 48: 0.02, 72: 0.01}, rel=0.02)
    assert incidents == pytest.approx({24: 60.0, 48: 120.0, 72: 60.0}, rel=0.05)


def test_a_busy_site_knows_its_incidents_per_hour_too():
    baseline = Baseline(0.0)
    for minute in range(300):
        baseline.observe(60.0 * minute, 100_000, 20.0, 100, 1)
    assert baseline.expected(18_000.0, CONFIG).incidents_per_h == pytest.approx(60.0, rel=0.05)


def test_incidents_of_a_slow_site_count_by_the_hour():
    baseline = Baseline(0.0)
    for minute in range(600):
        baseline.observe(60.0 * minute, 60, 0.06, 0, int(minute % 6 == 0))
    assert baseline.expected(36_000.0, CONFIG).incidents_per_h == pytest.approx(10.0, rel=0.05)
