"""Every attack once, loud and short, against the mixed site. Takes five minutes; run by name."""

import csv
import tomllib
from pathlib import Path

import pytest

from emtc_lab.attacks.types import ATTACKS
from namespaces import need_lab
from programs import run

MIXED = Path(__file__).parents[2] / "lab" / "scenarios" / "mixed.toml"


@pytest.mark.heavy
@pytest.mark.namespaces
def test_every_attack_leaves_packets_and_no_tool_fails(tmp_path):
    need_lab()
    site, attacks = MIXED.read_text().split("[attacks]")
    assert "longest_s" in attacks
    quick = tmp_path / "quick.toml"
    quick.write_text(f'{site}[attacks]\nstyles = ["loud"]\nquiet_start_s = 15\npause_s = 1\nlongest_s = 15\n')
    done = run("emtc-lab", "run", quick, "-o", tmp_path / "run", "--minutes", "1", timeout_s=1200)
    assert done.returncode == 0, done.stderr.decode()
    told = tomllib.loads((tmp_path / "run" / "summary.toml").read_text())
    assert told["attacks_void"] == told["programs_that_failed"] == []
    assert told["view"]["ethernet"]["without_packets"] == []
    with (tmp_path / "run" / "labels.csv").open(newline="") as file:
        assert {row["type"] for row in csv.DictReader(file)} == set(ATTACKS)
