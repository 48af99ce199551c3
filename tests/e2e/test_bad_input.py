"""Bad input of every kind: one clear line on stderr, a non-zero exit, nothing half-written."""

import gzip
import json
import os
import subprocess
import zipfile

import pytest

import brokers
import capture_files as cf
import frames as f
from emtc_contract.bundle import MANIFEST
from programs import BIN, assert_one_line_error, lines, run

FRAME = f.ether(f.ipv4(f.tcp(b"x")))
BASE = 1_700_000_000_000_000


@pytest.fixture
def capture(tmp_path):
    return cf.write_pcap(tmp_path / "good.pcap", [(BASE + at * 1000, FRAME) for at in range(100)])


@pytest.fixture
def cut(tmp_path, capture):
    path = tmp_path / "cut.pcap"
    path.write_bytes(capture.read_bytes()[:-7])
    return path


@pytest.mark.parametrize("program", ["emtc-agent", "emtc-trainer", "emtc-export", "emtc-lab"])
def test_help_works_and_unknown_options_do_not(program):
    assert run(program, "--help").returncode == 0
    done = run(program, "--no-such-option")
    assert done.returncode == 2
    assert b"--no-such-option" in done.stderr
    assert b"Traceback" not in done.stderr
    assert run(program, "no-such-command").returncode == 2


@pytest.mark.parametrize("command", ["replay", "extract", "watch", "schema"])
def test_each_command_explains_itself(command):
    done = run("emtc-agent", command, "--help")
    assert done.returncode == 0
    assert b"Usage" in done.stdout


@pytest.mark.parametrize("command", [("replay",), ("extract", "-o", "rows.csv")])
def test_captures_that_are_none(tmp_path, command):
    (tmp_path / "text.pcap").write_text("hello world")
    (tmp_path / "empty.pcap").write_bytes(b"")
    (tmp_path / "head.pcap").write_bytes(b"\xd4\xc3\xb2\xa1\2\0")
    (tmp_path / "folder").mkdir()
    for name, said in (
        ("missing.pcap", "no such file"),
        ("text.pcap", "not a pcap"),
        ("empty.pcap", "empty"),
        ("head.pcap", "cut"),
        ("folder", "holds no file"),
    ):
        done = run("emtc-agent", *command, name, cwd=tmp_path)
        assert_one_line_error(done, name, said, code=2)
    assert not (tmp_path / "rows.csv").exists()


def test_a_file_one_may_not_read(tmp_path, capture):
    capture.chmod(0)
    if os.access(capture, os.R_OK):
        pytest.skip("root may read everything")
    assert_one_line_error(run("emtc-agent", "replay", capture), "good.pcap", "Permission denied", code=2)


def test_a_cut_capture_is_judged_as_far_as_it_goes(cut):
    done = run("emtc-agent", "replay", cut, "--json")
    assert_one_line_error(done, "cut.pcap", "after 99 packets", code=2)
    assert json.loads(lines(done.stdout)[-1])["summary"]["packets"] == 99
    assert run("emtc-agent", "replay", cut, "--allow-damaged").returncode == 0


def test_a_cut_capture_gives_no_feature_file_unless_allowed(tmp_path, cut):
    out = tmp_path / "out"
    out.mkdir()
    assert_one_line_error(run("emtc-agent", "extract", cut, "-o", out / "rows.csv"), "cut.pcap", code=2)
    assert list(out.iterdir()) == []
    assert run("emtc-agent", "extract", cut, "-o", out / "rows.csv", "--allow-damaged").returncode == 0
    assert len(lines((out / "rows.csv").read_bytes())) > 2


def test_a_cut_gzip(tmp_path, capture):
    path = tmp_path / "cut.pcap.gz"
    path.write_bytes(gzip.compress(capture.read_bytes())[:-20])
    assert_one_line_error(run("emtc-agent", "replay", path), "cut.pcap.gz", code=2)


def test_garbage_behind_a_gzip(tmp_path, capture):
    path = tmp_path / "tail.pcap.gz"
    path.write_bytes(gzip.compress(capture.read_bytes()) + b"junk")
    assert_one_line_error(run("emtc-agent", "replay", path), "tail.pcap.gz", "after 100 packets", code=2)
    assert run("emtc-agent", "replay", path, "--allow-damaged").returncode == 0


def test_an_output_that_cannot_be_written(tmp_path, capture):
    for target in (tmp_path / "missing" / "rows.csv", "/proc/rows.csv"):
        done = run("emtc-agent", "extract", capture, "-o", target)
        assert_one_line_error(done, str(target), code=2)
    assert_one_line_error(
        run("emtc-agent", "extract", capture, "-o", tmp_path / "rows.xls"), ".csv or .parquet", code=2
    )


def test_a_schema_nobody_knows(tmp_path, capture):
    done = run("emtc-agent", "extract", capture, "-o", tmp_path / "r.csv", "--schema", "edge-v9")
    assert_one_line_error(done, "edge-v9", "edge-v1", code=2)
    assert_one_line_error(run("emtc-agent", "schema", "edge-v9"), "edge-v9", code=2)


def test_networks_that_are_none(capture):
    done = run("emtc-agent", "replay", capture, "--device-network", "10.0.0.0/33")
    assert_one_line_error(done, "10.0.0.0/33", code=2)


@pytest.mark.parametrize("kind", ["missing", "no zip", "broken json", "wrong schema", "changed model", "cut"])
def test_bundles_that_are_not_right(tmp_path, capture, bundle_file, kind):
    path = tmp_path / "bad.bundle"
    with zipfile.ZipFile(bundle_file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if kind == "no zip":
        path.write_text("hello")
    elif kind == "cut":
        path.write_bytes(bundle_file.read_bytes()[:-100])
    elif kind != "missing":
        manifest = json.loads(members[MANIFEST])
        manifest["schema_digest"] = "sha256:0" if kind == "wrong schema" else manifest["schema_digest"]
        members[MANIFEST] = b'{"format": 1,' if kind == "broken json" else json.dumps(manifest).encode()
        if kind == "changed model":
            members["model.onnx"] = members["model.onnx"][:-1] + b"!"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    done = run("emtc-agent", "replay", capture, "--bundle", path)
    assert_one_line_error(done, "bad.bundle", code=2)
    assert done.stdout == b""
    assert_one_line_error(run("emtc-export", "verify", path), "bad.bundle", code=2)


def test_brokers_that_are_not_there_or_refuse(tmp_path, capture):
    port = brokers.free_port()
    done = run("emtc-agent", "replay", capture, "--mqtt", f"mqtt://127.0.0.1:{port}")
    assert_one_line_error(done, f"127.0.0.1:{port}", "Connection refused", code=4)
    assert done.stdout == b""
    assert_one_line_error(run("emtc-agent", "watch", "--mqtt", f"mqtt://127.0.0.1:{port}"), "refused", code=4)
    assert_one_line_error(run("emtc-agent", "replay", capture, "--mqtt", "ftp://x"), "mqtt://host", code=2)
    assert_one_line_error(
        run("emtc-agent", "replay", capture, "--mqtt", "mqtt://198.51.100.1"), "--allow-plain", code=2
    )
    if brokers.MOSQUITTO:
        with brokers.mosquitto(tmp_path, "allow_anonymous false") as url:
            done = run("emtc-agent", "replay", capture, "--mqtt", url)
            assert_one_line_error(done, "Not authorized", code=4)


def test_training_on_nonsense(tmp_path, capture):
    (tmp_path / "rows.csv").write_text("hello\n")
    model = tmp_path / "model.pt"
    for files, said in (
        ([tmp_path / "rows.csv", tmp_path / "rows.csv"], "rows.csv"),
        ([tmp_path / "missing.pcap", capture], "missing.pcap"),
        ([capture], "two files"),
        ([capture, capture], "both trained on"),
    ):
        done = run("emtc-trainer", "fit", *files, "-o", model)
        assert done.returncode == 2
        assert said in lines(done.stderr)[-1]
        assert b"Traceback" not in done.stderr
    assert not model.exists()
    assert_one_line_error(run("emtc-trainer", "evaluate", tmp_path / "rows.csv", capture), "rows.csv", code=2)
    assert_one_line_error(
        run("emtc-export", "build", tmp_path / "rows.csv", "-o", tmp_path / "b"), "rows.csv", code=2
    )


def test_standard_input_and_broken_pipes(capture):
    raw = capture.read_bytes()
    done = run("emtc-agent", "replay", "-", "--json", stdin=raw)
    assert done.returncode == 0
    assert json.loads(lines(done.stdout)[-1])["summary"]["packets"] == 100
    assert_one_line_error(run("emtc-agent", "replay", "-", stdin=b"junk"), "standard input", code=2)
    closed = subprocess.run(["sh", "-c", f"exec {BIN / 'emtc-agent'} replay - <&-"], capture_output=True, check=False)
    assert_one_line_error(closed, "standard input", "closed", code=2)
