"""Rows of the made-up site, against figures that the slow oracles wrote.

``python -m golden.rewrite`` in ``tests/`` writes the figures anew; do that only when a schema changes on purpose.
"""

import numpy as np
import pytest

import capture_files as cf
import frames
from emtc_agent.feature_files import read_csv
from emtc_agent.features import EdgeConfig, open_extractor
from emtc_agent.sources import open_capture
from emtc_agent.windows.windows import join
from emtc_contract.schemas import SCHEMAS, get_schema
from golden.rewrite import FOLDER, expected_rows
from golden.site import site

RAW_IP, ETHERNET = 101, 1
ETHERNET_BYTES = 14


def rows_of(path, schema):
    """What the extractor makes of a capture file; the key is fixed because a bounded memory forgets by it."""
    extractor = open_extractor(schema, EdgeConfig(hash_key=1))
    with open_capture(path) as reader:
        return join([*map(extractor.push, reader), extractor.finish()], len(schema.columns))


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    packets = [(packet.ts_us, octets) for packet, octets in site()]
    return cf.write_pcap(tmp_path_factory.mktemp("golden") / "site.pcap", packets)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_extractor_makes_the_golden_rows(name, capture):
    golden = read_csv(FOLDER / f"site.{name}.csv", SCHEMAS)
    got = rows_of(capture, get_schema(name))
    assert got.first_us.tolist() == golden.first_us.tolist()
    assert got.last_us.tolist() == golden.last_us.tolist()
    for number, column in enumerate(golden.schema.columns):
        np.testing.assert_allclose(
            got.features[:, number], golden.features[:, number], rtol=1e-9, atol=1e-12, err_msg=column
        )


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_oracles_still_make_the_golden_rows(name):
    golden, made = read_csv(FOLDER / f"site.{name}.csv", SCHEMAS), expected_rows(name)
    assert made.endpoint.tolist() == golden.endpoint.tolist()
    np.testing.assert_allclose(made.features, golden.features, rtol=1e-12, atol=0)


def test_raw_ip_and_a_tunnel_show_the_same_traffic(tmp_path):
    """One capture of the modem and one of the core: only who the endpoint is called differs."""
    inner = [(packet.ts_us, octets[ETHERNET_BYTES:]) for packet, octets in site() if not packet.arp_op]
    outer = [(ts_us, tunnelled(octets)) for ts_us, octets in inner]
    modem = rows_of(cf.write_pcap(tmp_path / "modem.pcap", inner, linktype=RAW_IP), SCHEMAS["edge-v1"])
    core = rows_of(cf.write_pcap(tmp_path / "core.pcap", outer), SCHEMAS["edge-v1"])
    assert len(modem) > 80
    assert core.features.tobytes() == modem.features.tobytes()
    assert core.ip_lo.tolist() == modem.ip_lo.tolist()
    assert set(core.kind.tolist()) != set(modem.kind.tolist())


def tunnelled(datagram):
    """A datagram as the core network carries it."""
    packet = frames.udp(frames.gtpu(datagram, extensions=(b"\x00\x09",)), frames.GTPU, frames.GTPU)
    return frames.ether(frames.ipv4(packet, "192.168.9.1", "192.168.9.2", frames.UDP))
