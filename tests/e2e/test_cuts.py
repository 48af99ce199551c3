"""The same capture in batches of any size, from reads of any size, gives the same rows to the bit."""

import functools
from operator import itemgetter

import numpy as np
import pytest

import capture_files as cf
from emtc_agent.features import CaptureConfig, EdgeConfig, open_extractor
from emtc_agent.sources import CaptureSet, open_capture
from emtc_agent.sources.buffer import SMALL_BUFFER_BYTES
from emtc_agent.windows.windows import join
from emtc_contract.schemas import SCHEMAS
from floods import octets_of, syn_flood
from golden.site import START_US, site

SHORT, LONG = 1_500, 70_000
SLIPS = 5


def packets(flood_packets):
    """The site with a flood of forged senders; LONG is more than the largest batch. At its end the clock slips."""
    quiet = [(packet.ts_us, octets) for packet, octets in site()]
    flood = syn_flood(flood_packets, "10.0.0.4", sources="198", start_us=START_US + 305_000_000, ether=True)
    return [*sorted([*quiet[:-SLIPS], *octets_of(flood)], key=itemgetter(0)), *quiet[-SLIPS:]]


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    """Write the capture with a flood of so many packets, once."""
    folder = tmp_path_factory.mktemp("cuts")
    return functools.cache(lambda size: cf.write_pcap(folder / f"{size}.pcap", packets(size)))


def rows_of(reader, name):
    extractor = open_extractor(SCHEMAS[name], EdgeConfig(hash_key=1), CaptureConfig(hash_key=1))
    windows = join([*map(extractor.push, reader), extractor.finish()], len(extractor.schema.columns))
    assert extractor.stats.packets > SHORT
    return [getattr(windows, field).tobytes() for field in windows.__slots__]


@pytest.fixture(scope="module")
def whole(capture):
    """Rows by schema and size of the flood, each computed once."""

    @functools.cache
    def rows(name, flood_packets=LONG):
        with open_capture(capture(flood_packets)) as reader:
            return rows_of(reader, name)

    return rows


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize(("size", "flood_packets"), [(1, SHORT), (64, LONG), (1_000, LONG), (65_536, LONG)])
def test_the_size_of_batches_changes_no_bit(size, flood_packets, name, capture, whole):
    with open_capture(capture(flood_packets), size) as reader:
        assert rows_of(reader, name) == whole(name, flood_packets)


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("more_bytes", [0, 1, 4_099, 100_003])
def test_where_reads_end_changes_no_bit(more_bytes, name, capture, whole):
    """Every read but the last ends inside a record, each time elsewhere."""
    with open_capture(capture(LONG), buffer_bytes=SMALL_BUFFER_BYTES + more_bytes) as reader:
        assert rows_of(reader, name) == whole(name)


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_capture_in_several_files_gives_the_rows_of_the_whole(seed, name, whole, tmp_path):
    capture = packets(LONG)
    cuts = np.sort(np.random.default_rng(seed).integers(1, len(capture) - SLIPS, 5)).tolist()
    for number, (begin, end) in enumerate(zip([0, *cuts], [*cuts, len(capture)], strict=True)):
        cf.write_pcap(tmp_path / f"{number}.pcap", capture[begin:end])
    with CaptureSet([tmp_path]) as source:
        (rows,) = [rows_of(stream, name) for stream in source.streams()]
    assert rows == whole(name)
