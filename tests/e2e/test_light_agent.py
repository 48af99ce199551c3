"""The agent runs where training libraries cannot be imported, and contacts nobody."""

import subprocess
import sys

import pytest

from emtc_agent.detector import RUNTIMES
from namespaces import need_namespaces, packets_sent_by
from programs import BIN, assert_one_line_error, run
from support import ROOT

CAPTURE = ROOT / "lab" / "recordings" / "demo" / "capture.pcap.gz"
HEAVY = ("torch", "onnx", "pandas", "sklearn", "scapy.all", "pyarrow", "polars", "emtc_trainer", "emtc_export")
_RUN = """
import sys
for name in {heavy!r}:
    sys.modules[name] = None
sys.argv = ["emtc-agent", *{arguments!r}]
from emtc_agent.cli import main
main()
"""


def agent_without(*arguments):
    code = _RUN.format(heavy=HEAVY, arguments=[str(one) for one in arguments])
    return subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)


def test_replay_needs_no_training_library():
    done = agent_without("replay", CAPTURE, "--json")
    assert done.returncode == 0, done.stderr
    assert b'"summary"' in done.stdout


def test_parquet_without_the_trainer_is_an_error_in_words(tmp_path):
    done = agent_without("extract", CAPTURE, "-o", tmp_path / "rows.parquet")
    assert done.returncode == 2
    assert b"trainer extra" in done.stderr
    assert agent_without("extract", CAPTURE, "-o", tmp_path / "rows.csv").returncode == 0


def test_a_missing_runtime_is_an_error_in_words(tmp_path):
    code = _RUN.format(heavy=(), arguments=["replay", str(CAPTURE)])
    hide = (
        "import importlib.util as u; found = u.find_spec\n"
        f"hidden = {[kind.package for kind in RUNTIMES]}\n"
        "u.find_spec = lambda name, *rest: None if name in hidden else found(name, *rest)\n"
    )
    done = subprocess.run([sys.executable, "-c", hide + code], capture_output=True, timeout=60, check=False)
    assert done.returncode == 3
    assert b"no inference runtime" in done.stderr


@pytest.mark.namespaces
@pytest.mark.parametrize("kind", [kind for kind in RUNTIMES if kind.installed], ids=lambda kind: kind.name)
def test_replay_contacts_nobody_and_resolves_nothing(kind, bundle_file):
    """onnxruntime's wheels carry a telemetry collector; it must stay silent, also outside CI."""
    need_namespaces()
    replay = ("replay", CAPTURE, "--json", "--bundle", bundle_file, "--runtime", kind.name)
    assert packets_sent_by("env", "-u", "CI", BIN / "emtc-agent", *replay) == 0


@pytest.mark.parametrize("kind", [kind for kind in RUNTIMES if kind.installed], ids=lambda kind: kind.name)
def test_replay_says_nothing_on_stderr_whatever_scores(kind, bundle_file):
    done = run("emtc-agent", "replay", CAPTURE, "--json", "--bundle", bundle_file, "--runtime", kind.name)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_wanted_runtime_that_is_not_there_is_an_error_in_words():
    for missing in [kind.name for kind in RUNTIMES if not kind.installed]:
        done = run("emtc-agent", "replay", CAPTURE, "--runtime", missing)
        assert_one_line_error(done, missing, "not installed", code=3)


@pytest.mark.namespaces
def test_the_ear_of_that_test_hears():
    need_namespaces()
    knock = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('198.51.100.1', 53))"
    assert packets_sent_by(sys.executable, "-c", knock) >= 1
