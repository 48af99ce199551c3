"""tflite-runtime for real, in the environment that it must have to itself."""

import json
import os
import subprocess

import pytest

from programs import lines, run
from support import ROOT

BIN = ROOT / ".venv-tflite-runtime" / "bin"
CAPTURE = ROOT / "lab" / "recordings" / "demo" / "capture.pcap.gz"

pytestmark = pytest.mark.skipif(
    not (BIN / "emtc-agent").exists(), reason="needs .venv-tflite-runtime: scripts/setup with a Python 3.11"
)


def run_there(program, *arguments, **env):
    command = [BIN / program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, env=os.environ | env, cwd=ROOT, timeout=300, check=False)


@pytest.fixture(scope="module", autouse=True)
def has_tflite(bundle):
    if bundle.artifact("tflite") is None:
        pytest.skip("needs the export-tflite extra, which makes the file")


def test_it_passes_the_contract_of_all_runtimes(bundle_file):
    suite = ROOT / "tests" / "contract" / "test_runtime.py"
    done = run_there(
        "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", suite, EMTC_TEST_BUNDLE=str(bundle_file)
    )
    assert done.returncode == 0, done.stdout.decode()
    assert b"passed" in done.stdout


def test_the_gates_hold_there(bundle_file):
    done = run_there("emtc-export", "verify", bundle_file)
    assert done.returncode == 0, done.stderr
    assert b"tflite-runtime" in done.stdout


def test_it_finds_the_same_incidents(bundle_file):
    replay = ("replay", CAPTURE, "--json", "--bundle", bundle_file)
    there, here = run_there("emtc-agent", *replay), run("emtc-agent", *replay)
    assert there.returncode == 0, there.stderr
    told = [[json.loads(line).get("text") for line in lines(done.stdout)] for done in (there, here)]
    assert told[0] == told[1]
