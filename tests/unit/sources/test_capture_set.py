"""Several captures as one stream in order of time, or as one stream each."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

import capture_files as cf
from emtc_agent.sources import CaptureSet
from emtc_agent.sources.merge import MAX_OPEN
from emtc_contract.errors import CaptureError

BASE_US = 1_700_000_000_000_000


def packets_of(stream):
    """(time, octets, link type) of each packet."""
    return [
        (ts, batch.data[at : at + size].tobytes(), kind)
        for batch in stream
        for ts, at, size, kind in zip(
            batch.ts_us.tolist(), batch.start.tolist(), batch.cap_len.tolist(), batch.linktype.tolist(), strict=True
        )
    ]


def read(sources, batch_packets=16_384, *, one_by_one=False):
    with CaptureSet(sources, batch_packets, one_by_one=one_by_one) as captures:
        return [packets_of(stream) for stream in captures.streams()], captures.stats


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=60),
    st.sampled_from([1, 3, 16_384]),
)
def test_packets_of_all_captures_come_in_order_of_time(tmp_path_factory, steps, batch_packets):
    folder = tmp_path_factory.mktemp("set")
    lanes, now_us = {}, BASE_US
    for number, (step_us, lane) in enumerate(steps):
        now_us += step_us
        lanes.setdefault(lane, []).append((now_us, b"packet %d" % number, 100 + lane))
    for lane, packets in lanes.items():
        cf.write_pcap(folder / f"{lane}.pcap", [one[:2] for one in packets], linktype=100 + lane)
    (merged,), stats = read([folder], batch_packets)
    assert [ts for ts, *_ in merged] == sorted(ts for ts, *_ in merged)
    assert stats.packets == len(steps)
    for lane, packets in lanes.items():
        assert [one for one in merged if one[2] == 100 + lane] == packets


def test_time_that_runs_back_within_a_capture_keeps_the_order_of_that_capture(tmp_path):
    odd = [(BASE_US + 5, b"a"), (BASE_US + 1, b"b"), (BASE_US + 9, b"c")]
    one = cf.write_pcap(tmp_path / "odd.pcap", odd)
    other = cf.write_pcap(tmp_path / "other.pcap", [(BASE_US + 3, b"x"), (BASE_US + 7, b"y")])
    (merged,), _ = read([one, other])
    assert [octets for _, octets, _ in merged] == [b"x", b"a", b"b", b"y", b"c"]


def test_more_captures_than_are_read_at_once_lose_nothing(tmp_path):
    count = MAX_OPEN + 4
    for number in range(count):
        cf.write_pcap(tmp_path / f"{number}.pcap", [(BASE_US + number, b"first"), (BASE_US + 1000, b"last")])
    (merged,), stats = read([tmp_path])
    assert len(merged) == stats.packets == 2 * count


def test_one_by_one_each_capture_is_a_stream_in_the_order_given(tmp_path):
    late = cf.write_pcap(tmp_path / "late.pcap", [(BASE_US + 9, b"late")])
    early = cf.write_pcap(tmp_path / "early.pcap", [(BASE_US, b"early")])
    streams, stats = read([late, early], one_by_one=True)
    assert [[octets for _, octets, _ in stream] for stream in streams] == [[b"late"], [b"early"]]
    assert stats.packets == 2


def test_a_set_tells_of_damage_and_reads_what_is_whole(tmp_path):
    late = cf.write_pcap(tmp_path / "a.pcap", [(BASE_US + 9, b"late")])
    early = tmp_path / "b.pcap"
    early.write_bytes(cf.pcap_bytes([(BASE_US, b"early"), (BASE_US, b"cut off")])[:-3])
    with CaptureSet([late, early]) as captures:
        (merged,) = [packets_of(stream) for stream in captures.streams()]
        assert [octets for _, octets, _ in merged] == [b"early", b"late"]
        assert captures.position_bytes == captures.size_bytes
        with pytest.raises(CaptureError, match=r"b\.pcap: ends in the middle of a packet, after 1 packets"):
            captures.require_whole()


def test_a_pipe_is_read_once_and_by_itself(tmp_path):
    """As a shell makes it of ``<(zcat capture)``."""
    content = cf.pcap_bytes([(BASE_US, b"one"), (BASE_US + 1, b"two")])
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(content)
    with os.fdopen(reading, "rb") as pipe:
        name = f"/dev/fd/{pipe.fileno()}"
        with pytest.raises(CaptureError, match=f"{name}: a pipe cannot be mixed with files"):
            CaptureSet([cf.write_pcap(tmp_path / "a.pcap", []), name])
        (merged,), _ = read([name])
    assert [octets for _, octets, _ in merged] == [b"one", b"two"]
