"""CICIoT2023 rows against the frame-by-frame oracle and the originals' output, and their independence of cuts."""

import csv
import itertools
import math
from dataclasses import replace
from struct import pack

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import frames
from batches import batch_of
from emtc_agent.features import CaptureConfig, open_extractor
from emtc_agent.features.cic_frames import read_frames
from emtc_agent.sources import open_capture
from emtc_agent.windows.windows import join
from emtc_contract.schemas import get_schema, resized
from oracles.ciciot_oracle import Oracle39, Oracle46, rows_of
from support import SHARED, needs_shared

GOLDEN = SHARED / "data" / "golden"
ORACLES = {"ciciot2023-39": Oracle39, "ciciot2023-46": Oracle46}
# One synthetic SCTP frame with zeroed chunks, from which dpkt loses 20 bytes: four columns of the size differ.
SCTP = ("ciciot2023-46", "edge_synth", {"Tot sum", "AVG", "Std", "Tot size"})

ends = st.sampled_from(["10.0.0.1", "10.0.0.2", "203.0.113.9"])
ports = st.sampled_from([80, 443, 53, 67, 68, 22, 21, 25, 23, 40000, 50000])


@st.composite
def datagrams(draw, depth=0):
    """IPv4 datagrams, sound and broken, some with datagrams inside."""
    kind = draw(st.sampled_from(["tcp", "tcp", "udp", "udp", "icmp", "error", "zero", "igmp", "gre"]))
    payload = draw(st.binary(max_size=40))
    options = {"src": draw(ends), "dst": draw(ends), "ttl": draw(st.sampled_from([64, 255, 1]))}
    sport, dport = draw(ports), draw(ports)
    if kind == "tcp":
        body = frames.tcp(
            payload, sport, dport, draw(st.integers(0, 255)), options=bytes(draw(st.sampled_from([0, 8])))
        )
    elif kind == "udp":
        body = frames.udp(payload, sport, dport)
    elif kind in ("error", "zero") and depth < 3:
        inner = draw(datagrams(depth + 1))
        body = frames.icmp(draw(st.sampled_from([3, 4, 5, 11])), inner) if kind == "error" else inner
    else:
        body = frames.icmp(8, payload)
    proto = {"tcp": 6, "udp": 17, "zero": 0, "igmp": 2, "gre": 47}.get(kind, 1)
    whole = frames.ipv4(
        body,
        proto=proto,
        fragment=draw(st.sampled_from([0, 0, 0, 0x4000, 0x2000, 0x00B9])),
        total=draw(st.sampled_from([None, None, None, 0, 19, 24, 33, 60])),
        options=bytes(draw(st.sampled_from([0, 0, 4]))),
        **options,
    )
    return whole + bytes(draw(st.sampled_from([0, 0, 6])))


@st.composite
def wire(draw):
    """Ethernet frames: IPv4, ARP, what makes no row, and any of them cut short."""
    octets = draw(
        st.one_of(
            datagrams().map(frames.ether),
            datagrams().map(frames.ether),
            st.just(frames.ether(frames.arp(1, 2, "10.0.0.1", 4, "10.0.0.2"), frames.ARP) + bytes(18)),
            st.just(frames.ether(frames.ipv4(), tags=((frames.VLAN, 5),))),
            st.just(frames.ether(frames.ipv6(), frames.IPV6)),
        )
    )
    return octets[: draw(st.sampled_from([None, None, None, 13, 30, 40, 50]))]


steps = st.sampled_from([0, 1, 7, 1_000, 500_000, 3_000_000, -2_000])


def timed(made):
    """(time, frame) pairs of (time since the last, frame) pairs."""
    times = itertools.accumulate(step for step, _ in made)
    return [(1_690_000_000_123_456 + ts_us, octets) for ts_us, (_, octets) in zip(times, made, strict=True)]


captures = st.lists(st.tuples(steps, wire()), min_size=1, max_size=70).map(timed)
chunks = st.sampled_from([None, 10_000_000, 700, 2_000])


def extract(schema, packets, chunk_bytes, cuts=()):
    extractor = open_extractor(schema, capture=CaptureConfig(chunk_bytes=chunk_bytes, hash_key=1))
    batch = batch_of([octets for _, octets in packets], [ts_us for ts_us, _ in packets])
    edges = sorted({0, len(packets), *(cut % (len(packets) + 1) for cut in cuts)})
    parts = [extractor.push(batch.slice(a, b)) for a, b in itertools.pairwise(edges)]
    return join([*parts, extractor.finish()], len(schema.features))


@pytest.mark.parametrize("name", ORACLES)
@given(captures, st.sampled_from([1, 2, 10, 25]), chunks)
def test_rows_equal_those_of_the_frame_by_frame_oracle(name, packets, window, chunk_bytes):
    schema = resized(get_schema(name), window)
    got = extract(schema, packets, chunk_bytes).features
    expected = np.array(rows_of(ORACLES[name], packets, window, chunk_bytes)).reshape(-1, len(schema.columns))
    assert got.shape == expected.shape
    for number, column in enumerate(schema.columns):
        np.testing.assert_allclose(got[:, number], expected[:, number], rtol=1e-9, atol=1e-9, err_msg=column)


@pytest.mark.parametrize("name", ORACLES)
@given(captures, chunks, st.lists(st.integers(0, 1000), max_size=8))
def test_rows_do_not_depend_on_how_the_stream_is_cut(name, packets, chunk_bytes, cuts):
    schema = get_schema(name)
    whole, cut = extract(schema, packets, chunk_bytes), extract(schema, packets, chunk_bytes, cuts)
    assert whole.features.tobytes() == cut.features.tobytes()
    assert whole.last_us.tolist() == cut.last_us.tolist()


def test_tagged_frames_make_no_row_whatever_else_the_capture_holds():
    """A pcapng may mix link types; the outer EtherType counts on each of them."""
    inner = frames.ipv4(frames.udp(), proto=17)
    tagged = frames.ether(inner, tags=((frames.VLAN, 5),))
    sll_tagged = frames.sll(pack(">HH", 5, frames.IPV4) + inner, frames.VLAN)
    lanes = [(1, tagged), (101, inner), (113, frames.sll(inner)), (113, sll_tagged), (1, frames.ether(inner))]
    batch = batch_of([octets for _, octets in lanes])
    batch = replace(batch, linktype=np.array([kind for kind, _ in lanes], np.uint16))
    read, broken = read_frames(batch)
    assert (read.packet.tolist(), broken) == ([1, 2, 4], 0)
    assert set(read.size.tolist()) == {14 + len(inner)}


def original(path, columns):
    with path.open(newline="") as file:
        return np.array([[float(row[name] or math.nan) for name in columns] for row in csv.DictReader(file)])


@needs_shared
@pytest.mark.shared
@pytest.mark.parametrize("name", ORACLES)
def test_the_original_extractors_output_is_reproduced(name):
    files = sorted((GOLDEN / name).glob("*.csv"))
    assert len(files) == 19
    for file in files:
        window = 100 if file.stem.endswith("_w100") else 10
        schema = resized(get_schema(name), window)
        with open_capture(GOLDEN / "pcaps" / f"{file.stem.removesuffix('_w100')}.pcap") as reader:
            extractor = open_extractor(schema)
            got = join([*map(extractor.push, reader), extractor.finish()], len(schema.columns)).features
        expected = original(file, schema.columns)
        assert got.shape == expected.shape, file
        for number, column in enumerate(schema.columns):
            if (name, file.stem) == SCTP[:2] and column in SCTP[2]:
                continue
            np.testing.assert_allclose(
                got[:, number], expected[:, number], rtol=1e-9, atol=0, err_msg=f"{file} {column}"
            )


@needs_shared
@pytest.mark.shared
@pytest.mark.parametrize("capture", ["bot", "ssh", "malformed_ip"])
@pytest.mark.parametrize("name", ORACLES)
def test_captures_that_crash_the_originals_are_read_to_their_end(name, capture):
    extractor = open_extractor(get_schema(name))
    with open_capture(GOLDEN / "pcaps" / f"{capture}.pcap") as reader:
        windows = join([*map(extractor.push, reader), extractor.finish()], len(extractor.schema.columns))
    stats = extractor.stats
    assert stats.packets == {"bot": 402, "ssh": 295, "malformed_ip": 3}[capture]
    assert windows.packets.sum() == stats.packets - sum(stats.other.values())
    assert capture != "bot" or stats.other == {"neither_ipv4_nor_arp": 402}  # all of them VLAN-tagged
    assert capture != "malformed_ip" or stats.other == {"bad_ipv4": 1}
