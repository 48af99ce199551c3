"""Small parts of incidents: ids, family votes, evidence, bounded counters."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from emtc_agent.incidents.evidence import SECOND_US, Evidence
from emtc_agent.incidents.family import elect, vote
from emtc_agent.incidents.incident import Incident
from emtc_agent.incidents.ulid import ulid
from emtc_contract.edge_v1 import EDGE_V1
from emtc_contract.messages import Endpoint


def test_ulid_of_the_published_example():
    """github.com/ulid/spec: 01ARYZ6S41 is 1469918176385 ms."""
    assert ulid(1_469_918_176_385_000, random.Random(1)).startswith("01ARYZ6S41")


@given(st.integers(0, 2**52), st.integers(0, 2**52))
def test_ulids_sort_by_time(a, b):
    rng = random.Random(0)
    if a // 1000 < b // 1000:
        assert ulid(a, rng) < ulid(b, rng)
    assert len(ulid(a, rng)) == 26


def window(**values):
    return dict.fromkeys(EDGE_V1.columns, 0.0) | values


def test_windows_vote_for_the_family_they_look_like():
    scan = window(packets=32, packets_per_s=200, syn_unanswered_share=0.5, remote_ports=16, remotes=1)
    forged = window(
        packets=32, packets_per_s=2000, syn_unanswered_share=0.5, remotes=32, remote_ports=32, local_ports=1
    )
    assert vote(scan) == "recon"
    assert vote(forged) == "flood"
    assert vote(window(dns_share=0.9, dns_name_len=120)) == "exfiltration"
    assert vote(window(arp_conflicts=1)) == "spoofing"
    assert vote(window(login_share=0.1, telnet_share=1.0, remotes=1)) == "brute force"
    assert vote(window(packets=3)) == "unknown"
    assert vote({}) == "unknown"


def test_the_confidence_is_the_share_of_votes():
    assert elect(Counter({"recon": 3, "flood": 1})).confidence == 0.75
    assert elect(Counter({"unknown": 3, "flood": 1})).confidence == 0
    assert elect(Counter()).name == "unknown"


SIGHTINGS = st.lists(st.tuples(st.integers(0, 60_000_000), st.floats(-3, 9)), max_size=80)


@given(SIGHTINGS)
def test_evidence_is_bounded_by_what_seconds_can_add(sightings):
    evidence = Evidence(half_life_s=10)
    for number, (moment, weight) in enumerate(sorted(sightings), start=1):
        seconds = len({at // SECOND_US for at, _ in sorted(sightings)[:number]})
        assert 0 <= evidence.add(moment, weight) <= 1.5 * 9 * seconds


@given(SIGHTINGS, st.integers(0, 79), st.floats(0, 3))
def test_more_oddness_is_never_less_evidence(sightings, at, more):
    plain, odder = Evidence(half_life_s=10), Evidence(half_life_s=10)
    for number, (moment, weight) in enumerate(sorted(sightings)):
        plain.add(moment, weight)
        odder.add(moment, weight + more * (number == at))
    assert odder.level >= plain.level - 1e-9


def test_counters_of_a_long_incident_stay_small_and_keep_the_frequent():
    incident = Incident("x", Endpoint(id="a", kind="ip"), 0, 0, 0)
    for number in range(5_000):
        peer = "10.0.0.9" if number % 3 == 0 else f"198.51.{number >> 8}.{number & 255}"
        incident.look(number, "flood", peer, number % 65536)
    assert incident.peers[0].ip == "10.0.0.9"
    assert len(incident.peer_counts) <= 16
    assert len(incident.port_counts) <= 16
