"""What an attacker does while a site is learned must not become normal."""

import numpy as np

from emtc_agent.learning.quarantine import Quarantine
from site_windows import SECOND, START_US, flood_features, key, scored_of, shipped, windows_of

COLUMNS = shipped().schema.columns


def at(*seconds):
    return START_US + np.array(seconds, np.int64) * SECOND


def admit(quarantine, seconds, p_value=0.5, device=1, suspects=(), features=None):
    windows = windows_of(at(*seconds), device, features)
    return quarantine.admit(windows, scored_of(np.broadcast_to(p_value, len(seconds))), suspects)


def test_windows_above_the_99_9th_percentile_stay_out():
    quarantine = Quarantine(COLUMNS)
    admitted, leave = admit(quarantine, range(4), [0.5, 0.002, 0.0009, 1e-9])
    assert (admitted.tolist(), leave) == ([True, True, False, False], {})
    assert quarantine.tally.refused == {"odd": 2}
    assert list(quarantine.tally.refused_of.values()) == [2]


def test_an_incident_taints_its_endpoint_before_and_after_and_no_other():
    quarantine = Quarantine(COLUMNS)
    admitted, leave = admit(quarantine, [1_000], suspects={key(1)})
    assert not admitted.any()
    assert list(leave.values()) == [at(700)[0]]
    assert not admit(quarantine, [1_299])[0].any()
    assert admit(quarantine, [1_299], device=2)[0].all()
    assert admit(quarantine, [1_301])[0].all()
    assert quarantine.tally.refused == {"incident": 2}


def test_an_incident_that_goes_on_is_retracted_once_and_bars_from_its_last_window_on():
    quarantine = Quarantine(COLUMNS)
    leaves = [admit(quarantine, [second], suspects={key(1)})[1] for second in (1_000, 1_100, 1_200)]
    assert [len(leave) for leave in leaves] == [1, 0, 0]
    assert not admit(quarantine, [1_499])[0].any()
    assert admit(quarantine, [1_501])[0].all()


def test_trust_lets_odd_windows_in_and_counts_them_but_not_what_looks_like_an_attack():
    quarantine = Quarantine(COLUMNS, trusted=True)
    features = np.concatenate([np.zeros((2, len(COLUMNS))), flood_features(1)])
    admitted, _ = admit(quarantine, range(3), 1e-6, suspects={key(1)}, features=features)
    assert admitted.tolist() == [True, True, False]
    assert quarantine.tally.refused == {"flood": 1}
    assert list(quarantine.tally.odd_of.values()) == [2]


def test_a_trusted_endpoint_is_barred_once_most_of_its_odd_windows_look_like_an_attack():
    quarantine = Quarantine(COLUMNS, trusted=True)
    _, leave = admit(quarantine, range(1_000, 1_005), 1e-6, suspects={key(1)}, features=flood_features(5))
    assert list(leave.values()) == [at(700)[0]]
    assert not admit(quarantine, [1_100])[0].any()


def test_an_accepted_family_is_learned():
    quarantine = Quarantine(COLUMNS, trusted=True, accepted=("flood",))
    admitted, leave = admit(quarantine, range(5), 1e-6, suspects={key(1)}, features=flood_features(5))
    assert admitted.all()
    assert not leave


def test_the_tally_is_bounded_however_many_endpoints_are_forged():
    quarantine = Quarantine(COLUMNS)
    for begin in range(0, 5_000, 1_000):
        admit(quarantine, range(1_000), 1e-6, device=np.arange(begin, begin + 1_000))
    assert len(quarantine.tally.refused_of) <= 1_025
    assert quarantine.tally.refused_of.total() == 5_000


def test_the_bars_are_bounded_and_old_ones_go_first():
    quarantine = Quarantine(COLUMNS)
    for begin in range(0, 4_000, 500):
        devices = np.arange(begin, begin + 500)
        seconds = np.full(500, begin)
        admit(quarantine, seconds, device=devices, suspects={key(device) for device in devices.tolist()})
    assert len(quarantine.barred()) <= 2_000
