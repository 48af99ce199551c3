"""``edge-v1`` rows against the packet-by-packet oracle, and their independence of batch cuts."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import frames
from batches import batch_of
from emtc_agent.addresses import endpoint_text, ip_text
from emtc_agent.features.edge_extractor import EdgeConfig, EdgeExtractor
from emtc_agent.windows.windows import EndpointKind, join
from floods import syn_flood
from oracles.edge_oracle import EdgeOracle
from traffic import traffic

COLUMNS = EdgeExtractor.schema.columns


def extract(packets, cuts=()):
    extractor = EdgeExtractor()
    batch = batch_of([frame for _, frame in packets], [packet.ts_us for packet, _ in packets])
    edges = sorted({0, len(packets), *(cut % (len(packets) + 1) for cut in cuts)})
    parts = [extractor.push(batch.slice(a, b)) for a, b in itertools.pairwise(edges)]
    return join([*parts, extractor.finish()], len(COLUMNS))


def identities(windows):
    return [
        endpoint_text(*one)
        for one in zip(windows.kind.tolist(), windows.id_hi.tolist(), windows.id_lo.tolist(), strict=True)
    ]


def expected_identity(identity):
    kind, value = identity
    return value if kind == "ip" else ":".join(f"{octet:02x}" for octet in value.to_bytes(6, "big"))


@given(traffic())
def test_rows_equal_those_of_the_packet_by_packet_oracle(packets):
    oracle = EdgeOracle()
    for packet, _ in packets:
        oracle.push(packet)
    rows = oracle.finish()
    windows = extract(packets)
    assert identities(windows) == [expected_identity(identity) for identity, *_ in rows]
    assert windows.packets.tolist() == [row[3] for row in rows]
    assert windows.first_us.tolist() == [row[1] for row in rows]
    assert windows.last_us.tolist() == [row[2] for row in rows]
    for number, column in enumerate(COLUMNS):
        expected = [row[4][number] for row in rows]
        np.testing.assert_allclose(windows.features[:, number], expected, rtol=1e-9, atol=1e-9, err_msg=column)


@given(traffic(), st.lists(st.integers(0, 1000), max_size=8))
def test_rows_do_not_depend_on_how_the_stream_is_cut(packets, cuts):
    whole, cut = extract(packets), extract(packets, cuts)
    assert identities(whole) == identities(cut)
    assert whole.features.tobytes() == cut.features.tobytes()
    assert whole.first_us.tolist() == cut.first_us.tolist()


@given(traffic(), st.lists(st.integers(0, 1000), min_size=1, max_size=8))
def test_time_that_passes_between_packets_changes_no_row(packets, cuts):
    """A tick closes a window when its time is over; without it, the next packet does."""
    extractor = EdgeExtractor()
    batch = batch_of([frame for _, frame in packets], [packet.ts_us for packet, _ in packets])
    edges = sorted({0, len(packets), *(cut % (len(packets) + 1) for cut in cuts)})
    parts = []
    for begin, end in itertools.pairwise(edges):
        parts += [extractor.tick(int(batch.ts_us[begin]) - 1), extractor.push(batch.slice(begin, end))]
    ticked = join([*parts, extractor.finish()], len(COLUMNS))
    whole = extract(packets)
    assert identities(whole) == identities(ticked)
    assert whole.features.tobytes() == ticked.features.tobytes()


def test_a_silent_endpoint_is_told_by_the_next_tick():
    extractor = EdgeExtractor()
    packet = frames.ipv4(frames.udp(), "10.0.0.1", "203.0.113.9", frames.UDP)
    extractor.push(batch_of([packet], [5_000_000], linktype=101))
    assert len(extractor.tick(14_999_999)) == 0
    assert identities(extractor.tick(15_000_000)) == ["10.0.0.1"]
    assert len(extractor.tick(2**50)) == len(extractor.finish()) == 0


def test_the_smallest_table_takes_a_flood_of_forged_senders():
    flood = syn_flood(50_000, "203.0.113.9", sources="10")
    extractor = EdgeExtractor(EdgeConfig(max_endpoints=8))
    parts = [extractor.push(flood.slice(at, at + 10_000)) for at in range(0, len(flood), 10_000)]
    rows = join([*parts, extractor.finish()], len(COLUMNS))
    assert rows.packets.sum() == extractor.stats.packets == 50_000
    assert set(rows.kind.tolist()) == {EndpointKind.IP, EndpointKind.OVERFLOW}
    assert extractor.stats.endpoints == 8
    assert extractor.stats.spilled == rows.packets[rows.kind == EndpointKind.OVERFLOW].sum()


def test_packets_without_an_endpoint_are_counted_and_make_no_window():
    extractor = EdgeExtractor()
    unknown_linktype = 195
    windows = extractor.push(batch_of([b"\x01" * 40] * 3, linktype=unknown_linktype))
    assert len(windows) == len(extractor.finish()) == 0
    assert extractor.stats.packets == extractor.stats.unattributed == 3
    assert extractor.stats.other == {"unknown_linktype": 3}


def test_an_address_in_a_tunnel_is_not_its_neighbour_outside():
    """Kinds 2 and 3 differ in one bit, as fc00:: and fd00:: do."""
    plain = frames.ipv6(frames.udp(), "fc00::1", "2001:db8::1", frames.UDP)
    inner = frames.ipv6(frames.udp(), "fd00::1", "2001:db8::1", frames.UDP)
    outer = frames.ipv4(frames.udp(frames.gtpu(inner), frames.GTPU, frames.GTPU), proto=frames.UDP)
    rows = rows_of(EdgeExtractor(), batch_of([plain, outer], linktype=101))
    assert sorted(zip(rows.kind.tolist(), identities(rows), strict=True)) == [(2, "fc00::1"), (3, "fd00::1")]


def rows_of(extractor, batch, cuts=()):
    edges = sorted({0, len(batch), *cuts})
    parts = [extractor.push(batch.slice(a, b)) for a, b in itertools.pairwise(edges)]
    return join([*parts, extractor.finish()], len(COLUMNS))


def test_endpoints_without_room_are_as_old_as_the_first_of_their_packets():
    flood = syn_flood(6_000, "203.0.113.9", sources="10")
    config = EdgeConfig(max_endpoints=8, novelty_after_s=0.02, hash_key=1)
    whole = rows_of(EdgeExtractor(config), flood)
    cut = rows_of(EdgeExtractor(config), flood, cuts=range(7, 6_000, 500))
    assert whole.features.tobytes() == cut.features.tobytes()
    ours = whole.kind == EndpointKind.OVERFLOW
    age_us = whole.first_us[ours] - whole.first_us[ours][0]
    novel = whole.features[ours, COLUMNS.index("new_service_share")] > 0
    assert not novel[age_us < 20_000].any()


def test_endpoints_without_room_are_forgotten_after_a_long_silence():
    """Those who come a day later are others: nothing is new to them at first, and no idle time is theirs."""
    first = syn_flood(4_096, "203.0.113.9", sources="10")
    later = syn_flood(4_096, "198.51.100.7", sources="10", start_us=3_000_000_000, seed=2)
    extractor = EdgeExtractor(EdgeConfig(max_endpoints=8, endpoint_idle_s=2_000, novelty_after_s=60, hash_key=1))
    rows = join([extractor.push(first), extractor.push(later), extractor.finish()], len(COLUMNS))
    ours = rows.features[(rows.kind == EndpointKind.OVERFLOW) & (rows.first_us >= 3_000_000_000)]
    assert len(ours) > 100
    assert not ours[:, COLUMNS.index("new_remote_share")].any()
    assert ours[:, COLUMNS.index("idle_before_s")].max() < 1
    assert extractor.stats.spilled == 8_192 - extractor.stats.endpoints


@pytest.mark.parametrize("cuts", [(), (4_095,), (4_096,), (100, 4_095, 4_096, 4_097)])
def test_an_endpoint_is_not_forgotten_before_its_window_has_closed(cuts):
    """One device sends a packet, all fall silent, and at the next clean-up another one takes its place."""
    device, newcomer, others = "10.0.0.1", "10.0.0.99", [f"10.0.0.{number}" for number in range(2, 9)]
    senders = [*itertools.islice(itertools.cycle(others), 4_095), device, newcomer]
    packets = [frames.ipv4(frames.udp(), sender, "203.0.113.9", frames.UDP) for sender in senders]
    batch = batch_of(packets, [*range(4_096), 700_000_000], linktype=101)
    rows = rows_of(EdgeExtractor(EdgeConfig(max_endpoints=8)), batch, cuts)
    single = [name for name, size in zip(identities(rows), rows.packets.tolist(), strict=True) if size == 1]
    assert [name for name in single if name in (device, newcomer)] == [device, newcomer]
    assert [ip_text(hi, lo) for hi, lo in zip(rows.ip_hi.tolist(), rows.ip_lo.tolist(), strict=True)] == identities(
        rows
    )
