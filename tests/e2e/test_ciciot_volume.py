"""Five million rows in the official layout are divided in bounded memory."""

import json
import re
import subprocess
import sys

import pytest

from ciciot_tables import table

ROWS, FILES = 5_000_000, 25
LIMIT_BYTES = 1_000_000_000
# VmHWM and not ru_maxrss of the child: the latter starts at the size of the parent that forked.
TRAINER = """
import atexit, pathlib, sys
atexit.register(lambda: sys.stderr.write(pathlib.Path("/proc/self/status").read_text()))
from emtc_trainer.cli import main
main()
"""


@pytest.mark.heavy
def test_five_million_official_rows_are_divided_in_a_gigabyte(tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"Merged{number:02}.csv").write_text(table(39, ROWS // FILES, seed=2 * number, label="Label"))
    arguments = ["data", str(folder), "-o", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", TRAINER, *arguments], capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / "split.json").read_text())
    assert sum(sum(one["rows"].values()) for one in record["sources"]) + record["duplicates"] == ROWS
    assert int(re.search(r"VmHWM:\s+(\d+) kB", done.stderr)[1]) * 1024 <= LIMIT_BYTES
