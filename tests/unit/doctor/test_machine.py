"""Checks of the machine, in namespaces where it has what they look for."""

import json
import shutil
import subprocess
import sys
import time

import pytest

from emtc_agent.doctor import worst
from emtc_agent.doctor.capabilities import check_capabilities
from emtc_agent.doctor.clock import RELEASE_YEAR, ClockState, check_clock, clock_state
from emtc_agent.doctor.disk import check_metrics_folder, check_state_folder, file_system
from namespaces import need_namespaces

_INSIDE = """
import dataclasses, json, subprocess, sys
from pathlib import Path
from emtc_agent.doctor.capabilities import check_capabilities
from emtc_agent.doctor.disk import check_metrics_folder, check_state_folder
from emtc_agent.doctor.interfaces import check_interface, check_ring
from emtc_agent.sources.ring import RingConfig
subprocess.run(["sh", "-e"], input=sys.argv[1], text=True, check=True, stdout=subprocess.DEVNULL)
print(json.dumps([dataclasses.asdict(one) for one in eval(sys.argv[2])]))
"""


def inside(setup, call):
    """Findings of an expression as {name: (level, what, fix)}, evaluated in namespaces after ``setup`` has run."""
    need_namespaces()
    command = ["unshare", "-Urnm", sys.executable, "-c", _INSIDE, setup, call]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return {one["name"]: (one["level"], one["what"], one["fix"]) for one in json.loads(done.stdout)}


VETH = "ip link add in type veth peer name out; "


@pytest.mark.namespaces
@pytest.mark.parametrize(
    ("setup", "level", "what"),
    [
        (VETH, "problem", "is down"),
        (VETH + "ip link set in up", "warning", "no carrier"),
        (VETH + "ip link set in up; ip link set out up", "ok", "MTU 1500 bytes"),
    ],
)
def test_an_interface_that_is_down_up_or_connected(setup, level, what):
    found = inside(setup, "check_interface('in')")["interface in"]
    assert found[0] == level
    assert what in found[1]


@pytest.mark.namespaces
def test_an_interface_that_is_not_there_lists_those_that_are():
    level, what, fix = inside(VETH, "check_interface('nope')")["interface nope"]
    assert level == "problem"
    assert "there are lo, out, in" in what or "there are lo, in, out" in what
    assert "[capture]" in fix


@pytest.mark.namespaces
@pytest.mark.skipif(shutil.which("ethtool") is None, reason="ethtool is not installed")
def test_the_fix_for_offloads_is_a_command_that_works():
    up = VETH + "ip link set in up; ip link set out up; ethtool -K in gro on; "
    level, what, fix = inside(up, "check_interface('in')")["interface in offloads"]
    assert (level, "gro on" in what) == ("warning", True)
    command = fix.partition(": ")[2].rstrip(".")
    assert command.startswith("ethtool -K in gro off")
    after = inside(up + command, "check_interface('in')")
    assert after.keys() == {"interface in"}


@pytest.mark.namespaces
def test_an_mtu_below_what_ipv6_needs():
    found = inside(VETH + "ip link set in mtu 576 up", "check_interface('in')")
    assert found["interface in MTU"][0] == "warning"


@pytest.mark.namespaces
@pytest.mark.parametrize(
    ("rings", "available_mib", "level", "what"),
    [
        (1, 65, "ok", "16 MiB can be opened"),
        (2, 65, "warning", "2 of 16 MiB are much for the 65 MiB"),
        (3, 65, "problem", "not tried"),
    ],
)
def test_a_ring_can_be_opened_if_there_is_memory_for_it(rings, available_mib, level, what):
    found = inside(VETH, f"check_ring('in', RingConfig(blocks=256), {rings}, {available_mib} << 20)")["ring in"]
    assert found[0] == level
    assert what in found[1]


@pytest.mark.namespaces
def test_a_ring_that_the_kernel_refuses():
    level, what, fix = inside(VETH, "check_ring('in', RingConfig(block_bytes=1000))")["ring in"]
    assert (level, "cannot be opened" in what) == ("problem", True)
    assert fix


@pytest.mark.namespaces
def test_with_its_capability_it_may_capture():
    assert inside("", "check_capabilities()")["capabilities"][0] == "ok"


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_without_the_capability_it_is_a_problem_and_the_fix_names_it(tmp_path):
    need_namespaces()
    status = tmp_path / "status"
    command = ["unshare", "-Ur", "setpriv", "--bounding-set=-net_raw", "cat", "/proc/self/status"]
    status.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    (found,) = check_capabilities(status)
    assert found.level == "problem"
    assert "AmbientCapabilities=CAP_NET_RAW" in found.fix


def test_a_folder_that_is_good(tmp_path):
    findings = check_state_folder(tmp_path, 1 << 20)
    assert {one.name: one.level for one in findings if one.name != "state lasts"} == {
        "state folder": "ok",
        "disk space": "ok",
        "state database": "ok",
    }
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_or_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "nothing", tmp_path / "file"):
        (found,) = check_state_folder(path, 1)
        assert (found.level, "not a folder" in found.what) == ("problem", True)


@pytest.mark.namespaces
@pytest.mark.parametrize(
    ("options", "fill", "level", "what", "fix"),
    [
        ("ro", "", "problem", "Read-only file system", "ReadWritePaths"),
        ("size=64k", "head -c 64k /dev/zero > /mnt/full; ", "problem", "No space left", "Free space"),
        ("size=128k", "", "problem", "too few for anything", "move the state folder"),
    ],
)
def test_a_folder_that_cannot_be_written(options, fill, level, what, fix):
    setup = f"mount -t tmpfs -o {options} none /mnt; {fill}"
    found = inside(setup, "check_state_folder(Path('/mnt'), 1)")
    (problem, *_) = [one for one in found.values() if one[0] == "problem"]
    assert (problem[0], what in problem[1], fix in problem[2]) == (level, True, True), problem


@pytest.mark.namespaces
def test_a_folder_that_is_small_or_in_memory_is_a_warning():
    setup = "mount -t tmpfs -o size=8m none /mnt; head -c 2M /dev/zero > /mnt/outbox.sqlite"
    found = inside(setup, "check_state_folder(Path('/mnt'), 16 << 20)")
    assert found["disk space"][0] == "warning"
    assert "6.0 MiB free, state may still grow by 14.0 MiB" in found["disk space"][1]
    assert "tmpfs" in found["state lasts"][1]
    assert inside(setup, "check_state_folder(Path('/mnt'), 6 << 20)")["disk space"][0] == "ok"


def test_the_kind_of_a_file_system_is_what_df_says(tmp_path):
    for folder in (tmp_path, "/proc", "/dev/shm"):
        df = subprocess.run(["df", "--output=fstype", folder], capture_output=True, text=True, check=True)
        assert file_system(type(tmp_path)(folder)) == df.stdout.split()[1]
    assert file_system(tmp_path, tmp_path / "nothing") == ""


@pytest.mark.namespaces
def test_a_metrics_file_needs_a_folder(tmp_path):
    assert worst(check_metrics_folder(tmp_path / "emtc.prom")) == "ok"
    assert worst(check_metrics_folder(tmp_path / "nothing" / "emtc.prom")) == "problem"
    found = inside("mount -t tmpfs -o ro none /mnt", "check_metrics_folder(Path('/mnt/emtc.prom'))")
    assert "Read-only" in found["metrics file"][1]


def test_the_clock_is_read():
    state = clock_state()
    assert state.now_s == pytest.approx(time.time(), abs=5)
    assert state.synchronised in (True, False)
    assert (state.most_error_s is None) or 0 <= state.most_error_s < 60


@pytest.mark.parametrize(
    ("state", "level", "what"),
    [
        (ClockState(time.time(), True, 0.002), "ok", "to 0.002 s at worst"),
        (ClockState(time.time(), False, None), "warning", "nothing keeps the clock right"),
        (ClockState(time.time(), None, None), "warning", "does not say"),
        (ClockState(0.0, True, None), "problem", "1970-01-01"),
        (ClockState((RELEASE_YEAR - 1970) * 365 * 86_400.0, True, None), "problem", f"{RELEASE_YEAR - 1}-12"),
        (ClockState(4e9, True, None), "problem", "2096"),
    ],
)
def test_clocks_are_judged(state, level, what):
    findings = check_clock(state)
    assert worst(findings) == level
    assert any(what in one.what for one in findings)
