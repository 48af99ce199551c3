"""Captures are read as written, in every dialect; broken ones are counted, never a traceback."""

import fcntl
import gzip
import os
import termios
import threading
import tracemalloc
from struct import unpack

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import capture_files as cf
from emtc_agent.packets import GUARD_BYTES
from emtc_agent.sources import CaptureSet, open_capture
from emtc_agent.sources.buffer import BUFFER_BYTES, SMALL_BUFFER_BYTES
from emtc_agent.sources.chain import find_records
from emtc_contract.errors import CaptureError

BASE_US = 1_700_000_000_000_000
packets = st.lists(
    st.tuples(st.integers(0, 10**9).map(lambda us: BASE_US + us), st.binary(min_size=1, max_size=90)), max_size=40
)
DIALECTS = {
    "pcap": lambda found: cf.pcap_bytes(found),
    "pcap, big endian": lambda found: cf.pcap_bytes(found, byte_order=">"),
    "pcap, nanoseconds": lambda found: cf.pcap_bytes(found, magic=cf.NANOSECONDS),
    "pcapng": lambda found: cf.pcapng_bytes(found),
    "pcapng, big endian": lambda found: cf.pcapng_bytes(found, byte_order=">"),
    "pcapng, odd clocks": lambda found: cf.pcapng_bytes(
        found,
        interfaces=(cf.Interface(tsresol=9), cf.Interface(tsresol=0x80 | 24, tsoffset_s=1000), cf.Interface()),
    ),
    "two pcapng sections": lambda found: (
        cf.pcapng_bytes(found[: len(found) // 2]) + cf.pcapng_bytes(found[len(found) // 2 :], byte_order=">")
    ),
}


def read(path, batch_packets=65_536):
    """All packets as (time, octets, wire length), and the reader's counters."""
    found = []
    with open_capture(path, batch_packets) as reader:
        for batch in reader:
            assert len(batch) <= batch_packets
            assert (batch.start + batch.cap_len + GUARD_BYTES <= len(batch.data)).all()
            assert (batch.wire_len >= batch.cap_len).all()
            for ts, start, size, wire in zip(
                batch.ts_us.tolist(),
                batch.start.tolist(),
                batch.cap_len.tolist(),
                batch.wire_len.tolist(),
                strict=True,
            ):
                found.append((ts, batch.data[start : start + size].tobytes(), wire))
    return found, reader.stats


@pytest.mark.parametrize("dialect", DIALECTS)
@given(found=packets)
def test_what_was_written_is_read(dialect, found, tmp_path_factory):
    path = tmp_path_factory.mktemp("dialect") / "capture"
    path.write_bytes(DIALECTS[dialect](found))
    got, stats = read(path)
    assert got == [(ts, octets, len(octets)) for ts, octets in found]
    assert (stats.packets, stats.truncated, stats.malformed) == (len(found), 0, 0)


@given(found=packets, batch=st.integers(1, 7))
def test_gzip_and_batch_size_change_nothing(found, batch, tmp_path_factory):
    path = tmp_path_factory.mktemp("gzip") / "capture.gz"
    path.write_bytes(gzip.compress(cf.pcap_bytes(found)))
    assert read(path, batch)[0] == [(ts, octets, len(octets)) for ts, octets in found]


FOUND = [(BASE_US + at, bytes([at % 251]) * 90) for at in range(2_000)]
PLAIN = cf.pcap_bytes(FOUND)


def test_gzip_members_follow_each_other(tmp_path):
    path = tmp_path / "members.pcap.gz"
    parts = [PLAIN[:10], b"", PLAIN[10:70_000], PLAIN[70_000:]]
    path.write_bytes(b"".join(map(gzip.compress, parts)) + bytes(512))  # zeros pad to a tape block
    got, stats = read(path)
    assert got == [(ts, octets, len(octets)) for ts, octets in FOUND]
    assert stats.truncated == 0


def spoiled(octets, at):
    return octets[:at] + bytes([octets[at] ^ 0xFF]) + octets[at + 1 :]


@pytest.mark.parametrize(
    ("content", "whole"),
    [
        (gzip.compress(PLAIN) + b"junk", True),
        (spoiled(gzip.compress(PLAIN), -6), True),  # the checksum
        (gzip.compress(PLAIN)[:-4], True),
        (gzip.compress(PLAIN[:50_000]) + gzip.compress(PLAIN[50_000:])[:-30], False),
        (gzip.compress(PLAIN[:50_000]) + spoiled(gzip.compress(PLAIN[50_000:]), 12), False),
    ],
    ids=["garbage behind it", "wrong checksum", "cut trailer", "cut member", "corrupt member"],
)
def test_damaged_gzip_is_read_up_to_the_damage_and_says_so(tmp_path, content, whole):
    path = tmp_path / "damaged.pcap.gz"
    path.write_bytes(content)
    got, stats = read(path)
    assert got == [(ts, octets, len(octets)) for ts, octets in FOUND[: len(got)]]
    assert len(got) == len(FOUND) if whole else 50_000 // 106 - 1 <= len(got) < len(FOUND)
    assert (stats.truncated, stats.malformed) == (1, 0)
    with CaptureSet([path]) as captures:
        assert sum(len(batch) for stream in captures.streams() for batch in stream) == len(got)
        with pytest.raises(CaptureError, match=rf"damaged\.pcap\.gz: unreadable after {len(got)} packets \(.+\)"):
            captures.require_whole()


@pytest.mark.parametrize("buffer_bytes", [BUFFER_BYTES, SMALL_BUFFER_BYTES])
def test_damage_behind_the_point_where_reading_stops_is_not_told(tmp_path, buffer_bytes):
    absurd = b"\xff" * 16 + bytes(2 << 20)
    path = tmp_path / "twice.pcap.gz"
    path.write_bytes(gzip.compress(cf.pcap_bytes(FOUND[:5]) + absurd) + b"junk")
    with open_capture(path, buffer_bytes=buffer_bytes) as reader:
        assert sum(map(len, reader)) == 5
    assert (reader.stats.truncated, reader.stats.malformed) == (0, 1)


@pytest.mark.parametrize("empty", [cf.pcap_header(), cf.section_block()])
def test_damage_behind_no_packet_is_told(tmp_path, empty):
    path = tmp_path / "none.gz"
    path.write_bytes(gzip.compress(empty) + b"junk")
    assert read(path)[1].truncated == 1


def test_a_gzip_bomb_needs_no_more_memory_than_a_capture(tmp_path):
    path = tmp_path / "bomb.gz"
    huge = cf.block(0x0BAD, bytes(100_000_000))
    path.write_bytes(gzip.compress(cf.pcapng_bytes([(BASE_US, b"x")]) + huge + cf.enhanced_block((BASE_US, b"y"))))
    del huge
    tracemalloc.start()
    got, stats = read(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [octets for _, octets, _ in got] == [b"x", b"y"]
    assert stats.skipped_blocks == 1
    assert most < 3 * BUFFER_BYTES


@pytest.mark.parametrize("octets", [PLAIN[:60_000], cf.pcapng_bytes(FOUND[:300]), gzip.compress(PLAIN)])
def test_a_pipe_may_give_the_first_bytes_one_by_one(octets):
    reading, writing = os.pipe()

    def write():
        with os.fdopen(writing, "wb", buffering=0) as pipe:
            for at in range(6):
                pipe.write(octets[at : at + 1])
                while unread(reading):
                    pass
            pipe.write(octets[6:])

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(reading, "rb") as pipe, open_capture(f"/dev/fd/{pipe.fileno()}") as reader:
        assert sum(map(len, reader)) > 200
        assert (reader.position_bytes, reader.size_bytes) == (0, None)  # a progress bar asks for both
    writer.join()


def unread(pipe):
    """Bytes that wait in a pipe."""
    return unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]


def test_wire_length_survives_the_snap_length(tmp_path):
    path = cf.write_pcap(tmp_path / "short.pcap", [(BASE_US, b"abc", 1500)])
    assert read(path)[0] == [(BASE_US, b"abc", 1500)]


@pytest.mark.parametrize("write", [cf.pcap_bytes, cf.pcapng_bytes])
@given(
    found=st.lists(st.tuples(st.just(BASE_US), st.binary(min_size=1, max_size=40)), min_size=1),
    cut=st.integers(1, 50),
)
def test_a_cut_capture_gives_its_whole_packets_and_says_so(write, found, cut, tmp_path_factory):
    whole = write(found)
    left = max(len(whole) - cut, len(write([])))
    path = tmp_path_factory.mktemp("cut") / "cut"
    path.write_bytes(whole[:left])
    got, stats = read(path)
    assert got == [(ts, octets, len(octets)) for ts, octets in found[: len(got)]]
    assert stats.truncated or len(write(found[: len(got)])) == left


@given(rest=st.binary(max_size=400))
@pytest.mark.parametrize(
    "start", [cf.pcap_header(), cf.section_block() + cf.interface_block(cf.Interface())], ids=["pcap", "pcapng"]
)
def test_any_bytes_behind_a_good_header_are_survived(start, rest, tmp_path_factory):
    path = tmp_path_factory.mktemp("noise") / "noise"
    path.write_bytes(start + rest)
    read(path)


@given(
    damage=st.binary(min_size=1, max_size=4),
    at=st.integers(0, 10**6),
    octets=st.lists(st.binary(min_size=20, max_size=60), min_size=3),
)
@pytest.mark.parametrize("write", [cf.pcap_bytes, cf.pcapng_bytes])
def test_damage_in_the_middle_is_survived(write, damage, at, octets, tmp_path_factory):
    whole = bytearray(write([(BASE_US, one) for one in octets]))
    at = 24 + at % (len(whole) - 24)
    whole[at : at + len(damage)] = damage
    path = tmp_path_factory.mktemp("damage") / "damaged"
    path.write_bytes(whole)
    got, stats = read(path)
    assert len(got) == stats.packets


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"GIF89a", "47 49 46 38"),
        (b"\xd4\xc3\xb2\xa1\x02", "header is cut"),
        (b"\x1f\x8b\x08junk", ""),
    ],
)
def test_what_is_no_capture_is_refused_by_name(tmp_path, content, said):
    path = tmp_path / "nonsense"
    path.write_bytes(content)
    with pytest.raises(CaptureError, match="nonsense") as caught, open_capture(path) as reader:
        list(reader)
    assert said in str(caught.value)


def test_long_pcaps_take_the_fast_path_and_give_the_same(tmp_path):
    rng = np.random.default_rng(3)
    sizes = rng.integers(40, 200, 20_000)
    found = [(BASE_US + 500 * at, rng.bytes(size)) for at, size in enumerate(sizes.tolist())]
    got, _ = read(cf.write_pcap(tmp_path / "long.pcap", found))
    assert got == [(ts, octets, len(octets)) for ts, octets in found]


def test_packets_that_hold_pcap_records_do_not_deceive_the_fast_path(tmp_path):
    inner = cf.pcap_bytes([(BASE_US, b"x" * 60)] * 12)[24:]
    found = [(BASE_US + at, inner[at % 7 :]) for at in range(2_000)]
    got, _ = read(cf.write_pcap(tmp_path / "nested.pcap", found))
    assert got == [(ts, octets, len(octets)) for ts, octets in found]


def test_packets_that_look_like_times_everywhere_cost_neither_packets_nor_memory():
    payload = (BASE_US // 1_000_000 >> 16).to_bytes(2, "little") * 700
    found = [(BASE_US + at, payload) for at in range(2_000)]
    octets = np.frombuffer(cf.pcap_bytes(found)[24:] + bytes(GUARD_BYTES), np.uint8)
    tracemalloc.start()
    starts = find_records(octets, len(octets) - GUARD_BYTES, "<").starts
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert starts.tolist() == [at * 1_416 for at in range(2_000)]
    assert most < len(octets)


def test_an_interface_holds_from_its_block_on(tmp_path):
    start = cf.section_block() + cf.interface_block(cf.Interface())
    early = cf.enhanced_block((BASE_US, b"early"), 1) + cf.interface_block(cf.Interface(linktype=101))
    path = tmp_path / "late.pcapng"
    path.write_bytes(start + early + cf.enhanced_block((BASE_US, b"late"), 1))
    got, stats = read(path)
    assert [octets for _, octets, _ in got] == [b"late"]
    assert (stats.malformed, stats.truncated) == (1, 0)


def test_a_block_larger_than_any_packet_is_skipped_and_missed_if_it_is_cut(tmp_path):
    path = tmp_path / "large.pcapng"
    content = cf.pcapng_bytes([(BASE_US, b"x")]) + cf.block(0x0BAD, bytes(2 << 20))
    for left, truncated in ((len(content), 0), (len(content) - 4, 1), (len(content) - (1 << 20), 1)):
        path.write_bytes(content[:left])
        got, stats = read(path)
        assert len(got) == 1
        assert (stats.skipped_blocks, stats.truncated) == (1, truncated)


def test_many_sections_are_read_without_moving_the_rest_for_each(tmp_path):
    path = tmp_path / "sections.pcapng"
    path.write_bytes(b"".join(cf.pcapng_bytes([(BASE_US + at, b"x")]) for at in range(2_000)))
    with open_capture(path) as reader:
        moved = 0
        for _ in reader:
            moved += reader._buffer.fill != path.stat().st_size
    assert (reader.stats.packets, moved) == (2_000, 0)


def test_a_set_with_a_wrong_file_fails_before_it_begins(tmp_path):
    good = cf.write_pcap(tmp_path / "a.pcap", [(BASE_US, b"x")])
    (tmp_path / "b.txt").write_text("hello")
    with pytest.raises(CaptureError, match=r"b\.txt"):
        CaptureSet([good, tmp_path / "b.txt"])
    with pytest.raises(CaptureError, match="no such file"):
        CaptureSet([tmp_path / "missing.pcap"])
