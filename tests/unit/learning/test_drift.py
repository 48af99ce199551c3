"""A site that changes for good is told of once; a bad hour, one device or an attack is not."""

import numpy as np
import pytest

from emtc_agent.learning.drift import DriftWatch
from site_windows import COLUMNS, SECOND, START_US, key, scored_of, shipped, windows_of

HOUR_S = 3_600
BEGIN_US = START_US // (HOUR_S * SECOND) * HOUR_S * SECOND


class Site:
    """A watch over five devices with a window a minute each."""

    def __init__(self, seed=1):
        self.watch = DriftWatch(shipped().schema.columns)
        self.rng = np.random.default_rng(seed)
        self.hour = 0
        self.alarms = []

    def hours(self, number, share=0.05, *, devices=range(1, 6), per_hour=60, moved=None, suspects=()):
        for _ in range(number):
            begin_us, self.hour = BEGIN_US + self.hour * HOUR_S * SECOND, self.hour + 1
            seconds = np.tile(np.linspace(0, HOUR_S - 1, per_hour), len(devices))
            who = np.repeat(np.array(devices), per_hour)
            order = np.argsort(seconds, kind="stable")
            odd = self.rng.random(len(who)) < share
            errors = np.ones((len(who), COLUMNS))
            if moved is not None:
                errors[:, moved] = 30.0
            windows = windows_of(begin_us + (seconds[order] * SECOND).astype(np.int64), who[order])
            self.note(self.watch.observe(windows, scored_of(np.where(odd, 0.01, 0.5), errors), suspects))
        return self

    def note(self, alarm):
        if alarm:
            self.alarms.append((self.hour, alarm))


@pytest.mark.parametrize("seed", range(3))
def test_a_month_without_change_is_quiet(seed):
    assert not Site(seed).hours(24 * 30).alarms


def test_a_doubled_share_is_told_within_a_day_once_with_what_moved():
    moved = shipped().schema.index("remotes")
    site = Site().hours(48).hours(72, 0.12, moved=moved)
    ((hour, alarm),) = site.alarms
    assert 48 + 3 < hour < 48 + 24
    assert alarm.features == ("remotes",)
    assert 1.5 < alarm.ratio < 3
    assert abs(alarm.since_us - (BEGIN_US + 48 * HOUR_S * SECOND)) <= 3 * HOUR_S * SECOND


def test_it_ends_when_all_is_as_before_and_can_be_told_again():
    site = Site().hours(24).hours(24, 0.2).hours(48)
    assert not site.watch.drifting
    assert len(site.hours(24, 0.2).alarms) == 2


def test_one_hour_however_bad_is_not_drift():
    assert not Site().hours(24).hours(1, 1.0).hours(48).alarms


def test_endpoints_with_incidents_do_not_count():
    site = Site().hours(24)
    for _ in range(48):
        site.hours(1, 0.05, devices=range(2, 6))
        site.hour -= 1
        site.hours(1, 1.0, devices=[1], suspects={key(1)})
    assert not site.alarms


def test_a_chatty_device_does_not_speak_for_the_site():
    site = Site().hours(24)
    for _ in range(48):
        site.hours(1, 0.0, devices=range(2, 40), per_hour=60)
        site.hour -= 1
        site.hours(1, 0.5, devices=[1], per_hour=3_000)
    assert not site.alarms


def test_a_site_with_hardly_any_traffic_is_judged_over_more_hours():
    site = Site().hours(24, per_hour=4).hours(24 * 7, 0.3, per_hour=4)
    assert len(site.alarms) == 1


def test_time_alone_ends_an_hour_and_another_calibration_begins_anew():
    site = Site().hours(24).hours(5, 0.5)
    site.note(site.watch.tick(BEGIN_US + 30 * HOUR_S * SECOND))
    assert len(site.alarms) == 1
    site.watch.restart()
    assert not site.watch.drifting
    assert len(site.hours(24).alarms) == 1
