"""Incidents open on evidence, go on, and close; one odd window opens nothing, benign ones speak against it."""

import itertools
import random
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emtc_agent.detector import Scored
from emtc_agent.incidents import IncidentConfig, IncidentTracker
from emtc_agent.incidents.record import decode_record, encode_record
from emtc_agent.incidents.suppression import MAX_RULES, Rule, Suppression
from emtc_agent.windows.windows import empty_windows
from emtc_contract.errors import InputError
from samples import MODEL

SECOND = 1_000_000


class Site:
    """A tracker fed with odd windows (each adds 3.9 to the evidence) or benign ones, at times in seconds."""

    def __init__(self, bundle, **rules):
        self.bundle = bundle
        config = IncidentConfig(**{"open_level": 10, **rules})
        self.tracker = IncidentTracker(bundle, MODEL, 3.0, "b1", config, random.Random(1))

    def see(self, seconds, *, odd=True, device=1, score=9.0):
        seconds = np.atleast_1d(np.asarray(seconds, float))
        size = len(seconds)
        columns = len(self.bundle.schema.columns)
        empty = empty_windows(columns)
        values = {name: np.zeros(size, getattr(empty, name).dtype) for name in empty.__slots__ if name != "features"}
        values["kind"] = np.full(size, 2, np.uint8)
        values["id_lo"] = values["ip_lo"] = np.full(size, 0xFFFF_0A00_0000 + device, np.uint64)
        values["last_us"] = (seconds * SECOND).astype(np.int64)
        values["first_us"] = values["last_us"] - 100_000
        values["peer_lo"] = np.full(size, 0xFFFF_CB00_7105, np.uint64)
        values["peer_port"] = np.full(size, 22, np.uint16)
        windows = type(empty)(features=np.zeros((size, columns)), **values)
        errors = np.zeros((size, columns), np.float32)
        errors[:, 3] = 7
        scored = Scored(
            np.arange(size),
            np.full(size, score, np.float32),
            np.full(size, 0.001 if odd else 0.5),
            np.full(size, odd),
            errors,
        )
        return self.tracker.observe(windows, scored)


def states(alerts):
    return [alert.state for alert in alerts]


def test_a_single_window_opens_nothing(bundle):
    site = Site(bundle)
    assert site.see(10) == []
    assert site.tracker.finish() == []


def test_evidence_in_three_seconds_opens_and_silence_closes(bundle):
    site = Site(bundle)
    alerts = site.see([10, 11, 12])
    assert states(alerts) == ["new"]
    assert (alerts[0].windows, alerts[0].seq, alerts[0].endpoint.ip) == (3, 0, "10.0.0.1")
    assert site.tracker.tick(41 * SECOND) == []
    closing = site.tracker.tick(43 * SECOND)
    assert states(closing) == ["end"]
    assert (closing[0].id, closing[0].seq) == (alerts[0].id, 1)
    assert site.tracker.open == 0


def test_many_windows_in_one_second_count_one_and_a_half_times(bundle):
    site = Site(bundle, open_level=9)
    assert site.see(np.linspace(10, 10.9, 500)) == []
    assert states(site.see([11.0])) == ["new"]


def test_evidence_fades(bundle):
    site = Site(bundle, half_life_s=5, close_after_s=100)
    assert site.see([10, 20, 30, 40, 50, 60]) == []


def test_benign_windows_speak_against_an_incident(bundle):
    site = Site(bundle)
    for second in range(10, 70, 4):
        assert site.see([second]) == []
        assert site.see([second + 1, second + 2], odd=False) == []


def test_a_draft_without_evidence_is_forgotten(bundle):
    site = Site(bundle)
    site.see([10])
    site.see([11, 12, 13], odd=False)
    (alert,) = site.see([14, 15, 16])
    assert alert.windows == 3
    assert alert.first_seen == "1970-01-01T00:00:13.900Z"


def test_faint_evidence_does_not_date_an_incident_back(bundle):
    site = Site(bundle)
    site.see([10])
    (alert,) = site.see([200, 201, 202])
    assert alert.windows == 3
    assert alert.first_seen == "1970-01-01T00:03:19.900Z"


def test_the_bundle_says_how_much_evidence_opens(bundle):
    manifest = msgspec.structs.replace(bundle.manifest, open_level=3.0)
    site = Site(replace(bundle, manifest=manifest), open_level=None)
    assert states(site.see([10])) == ["new"]


def test_updates_are_limited_in_rate(bundle):
    site = Site(bundle, update_every_s=60)
    alerts = site.see(np.arange(10, 200, 1.0))
    assert states(alerts) == ["new", "update", "update"]  # after 60 s, then after 120 s
    times = [alert.ts for alert in alerts]
    assert times == sorted(times)
    assert [alert.seq for alert in alerts] == [0, 1, 2]


def test_endpoints_are_kept_apart(bundle):
    site = Site(bundle)
    assert site.see([10, 11], device=1) + site.see([10, 11], device=2) == []
    opened = site.see([12], device=1) + site.see([12], device=2)
    assert [alert.endpoint.ip for alert in opened] == ["10.0.0.1", "10.0.0.2"]
    assert opened[0].id != opened[1].id


def test_benign_windows_are_no_evidence(bundle):
    assert Site(bundle).see(np.arange(100), odd=False) == []


def test_the_end_of_the_stream_closes_what_is_open(bundle):
    site = Site(bundle)
    site.see([10, 11, 12])
    assert states(site.tracker.finish()) == ["end"]
    assert site.tracker.finish() == []


def test_an_alert_says_what_and_with_whom(bundle):
    (alert,) = Site(bundle).see([10, 11, 12])
    assert "mostly with 203.0.113.5" in alert.text
    assert alert.text.startswith("10.0.0.1 is unusual: mean size sent")
    assert alert.peers[0].ip == "203.0.113.5"
    assert alert.ports == (22,)
    assert alert.reasons[0].feature == bundle.schema.columns[3]
    assert alert.first_seen == "1970-01-01T00:00:09.900Z"


@pytest.mark.parametrize(("score", "severity"), [(3.1, 2), (4.6, 3), (9.5, 4), (300, 5)])
def test_severity_follows_the_score(bundle, score, severity):
    (alert,) = Site(bundle).see([10, 11, 12], score=score)
    assert alert.severity_id == severity


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 3), st.booleans()), max_size=60))
def test_each_incident_opens_once_and_ends_once_in_order(bundle, sightings):
    site = Site(bundle)
    alerts = []
    for second, device, odd in sorted(sightings):
        alerts += site.tracker.tick(second * SECOND)
        alerts += site.see([second], device=device, odd=odd)
    alerts += site.tracker.finish()
    by_id = {}
    for alert in alerts:
        by_id.setdefault(alert.id, []).append(alert)
    for told in by_id.values():
        assert states(told)[0] == "new"
        assert states(told)[-1] == "end"
        assert set(states(told)[1:-1]) <= {"update"}
        assert [alert.seq for alert in told] == list(range(len(told)))
        assert all(a.last_seen <= b.last_seen for a, b in itertools.pairwise(told))
        assert len({alert.endpoint for alert in told}) == 1
    assert site.tracker.opened == len(by_id)


def test_a_rise_in_severity_is_told_at_once(bundle):
    site = Site(bundle, update_every_s=60)
    first = site.see(np.arange(10, 15, 1.0))
    (worse,) = site.see([16], score=31.0)
    assert states(first) == ["new"]
    assert worse.severity_id > first[0].severity_id


def test_what_somebody_knows_of_is_told_again_only_when_it_gets_worse_or_ends(bundle):
    site = Site(bundle, update_every_s=60)
    (new,) = site.see(np.arange(10, 15, 1.0))
    site.tracker.find(new.id).acknowledged = True
    assert site.see(np.arange(15, 300, 1.0)) == []
    (worse,) = site.see([301], score=31.0)
    assert states([worse, *site.tracker.tick(400 * SECOND)]) == ["update", "end"]


def test_a_restart_goes_on_with_open_incidents(bundle):
    before, after = Site(bundle, update_every_s=60), Site(bundle, update_every_s=60)
    (new,) = before.see(np.arange(10, 15, 1.0))
    records = [decode_record(encode_record(record)) for record in before.tracker.records()]
    assert [record.id for record in records] == [new.id]
    after.tracker.restore(records, 20 * SECOND)
    (update,) = after.see(np.arange(20, 80, 1.0))
    assert (update.id, update.seq, update.state) == (new.id, new.seq + 1, "update")
    assert update.windows == records[0].windows + 53
    (end,) = after.tracker.tick(500 * SECOND)
    assert (end.id, end.state) == (new.id, "end")


def test_an_incident_from_a_clock_that_ran_ahead_still_ends(bundle):
    before, after = Site(bundle), Site(bundle)
    (new,) = before.see(np.arange(1_000_010, 1_000_015, 1.0))
    after.tracker.restore(before.tracker.records(), 20 * SECOND)
    (end,) = after.tracker.tick(100 * SECOND)
    assert (end.id, end.state) == (new.id, "end")


def test_a_rule_hides_until_it_ends_or_the_incident_gets_worse(bundle):
    site = Site(bundle, update_every_s=10)
    rules = site.tracker.teller.suppression
    rules.add(Rule(id="scanner", endpoint="10.0.0.1", most_score=10, until_us=100 * SECOND))
    assert site.see(np.arange(10, 60, 1.0)) == []
    assert states(site.see(np.arange(10, 60, 1.0), device=2))[0] == "new"
    (worse,) = site.see([61, 62], score=11.0)
    assert (worse.state, worse.seq) == ("new", 0)
    assert states(site.tracker.tick(99 * SECOND)) == ["end", "end"]
    hidden = site.see(np.arange(95, 99, 1.0)) + site.see([101, 102])
    assert states(hidden) == []
    (late,) = site.see(np.arange(103, 110, 1.0))
    assert (late.state, rules.rules) == ("new", ())


def test_what_was_hidden_all_its_life_has_no_end(bundle):
    site = Site(bundle)
    site.tracker.teller.suppression.add(Rule(id="r", endpoint="10.0.0.1"))
    assert site.see(np.arange(10, 60, 1.0)) + site.tracker.tick(500 * SECOND) == []
    assert site.tracker.records() == []


def test_a_rule_that_would_hide_everything_is_refused():
    with pytest.raises(InputError, match="hide everything"):
        Suppression([Rule(id="all", most_score=1e9)])
    with pytest.raises(InputError, match="rules already"):
        Suppression(Rule(id=str(number), endpoint="x") for number in range(MAX_RULES + 1))


def test_of_many_windows_a_second_the_first_and_one_a_second_are_looked_at(bundle):
    site = Site(bundle)
    site.see(np.linspace(10, 13.99, 400))
    (record,) = site.tracker.records()
    assert record.windows == 400
    assert sum(record.votes.values()) == record.peers["203.0.113.5"] == 8 + 3
