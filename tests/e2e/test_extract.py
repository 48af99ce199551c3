"""``emtc-agent extract`` as a user meets it."""

import pytest

import capture_files as cf
import frames as f
from emtc_contract.schemas import SCHEMAS
from programs import lines, run

BASE_US = 1_700_000_000_000_000


@pytest.fixture
def capture(tmp_path):
    """Ten packets of each of thirty devices."""
    packets = [
        (BASE_US + 1000 * number, f.ether(f.ipv4(f.udp(), f"10.0.0.{device}", "203.0.113.9", f.UDP), src=device))
        for number, device in enumerate(sorted([*range(1, 31)] * 10))
    ]
    return cf.write_pcap(tmp_path / "site.pcap", packets)


@pytest.mark.parametrize("name", SCHEMAS)
def test_rows_come_with_the_columns_and_the_digest_of_their_schema(name, capture, tmp_path):
    done = run("emtc-agent", "extract", capture, "-o", tmp_path / "rows.csv", "--schema", name)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "rows.csv").read_text()
    assert SCHEMAS[name].digest in text
    assert ",".join(SCHEMAS[name].columns) in text
    assert f"rows of {name} from 300 packets".encode() in done.stderr


def test_a_table_too_small_is_told(capture, tmp_path):
    done = run("emtc-agent", "extract", capture, "-o", tmp_path / "rows.csv", "--max-endpoints", 8)
    assert b"220 without room" in done.stderr
    done = run("emtc-agent", "replay", capture, "--json", "--max-endpoints", 8)
    assert '"packets of endpoints without room":220' in lines(done.stdout)[-1]


@pytest.mark.parametrize(("option", "value"), [("--max-endpoints", 12), ("--max-peers", 4_096)])
def test_sizes_that_tables_cannot_have(option, value, capture, tmp_path):
    done = run("emtc-agent", "extract", capture, "-o", tmp_path / "rows.csv", option, value)
    assert done.returncode == 2
    assert option.encode() in done.stderr
    assert not (tmp_path / "rows.csv").exists()
