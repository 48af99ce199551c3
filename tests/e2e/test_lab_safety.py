"""Nothing gets out of the lab, it refuses to run where something could, and it leaves nothing behind."""

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from namespaces import need_lab
from programs import BIN, lines, run

SMOKE = Path(__file__).parents[2] / "lab" / "scenarios" / "smoke.toml"
pytestmark = pytest.mark.namespaces


@pytest.fixture(autouse=True)
def _lab():
    need_lab()


def own_addresses(port):
    return {found[4][0] for found in socket.getaddrinfo(socket.gethostname(), port, socket.AF_INET)}


def test_nothing_outside_is_reachable_from_inside():
    """A listener that this machine reaches is not reached from any namespace of the lab."""
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        targets = [f"{ip}:{port}" for ip in sorted(own_addresses(port) | {"127.0.0.1"})]
        for target in targets:
            socket.create_connection((target.split(":")[0], port), timeout=5).close()
        done = run("emtc-lab", "check", *(word for target in targets for word in ("--target", target)))
    told = lines(done.stdout)
    assert done.returncode == 0, done.stderr.decode()
    assert {line.split(":")[0].split()[0] for line in told} == {
        "attacker",
        "device",
        "outside",
        "cloud",
        "core",
        "gw",
    }
    assert all("reaches nothing outside" in line for line in told)


def test_the_check_finds_what_it_looks_for():
    """An address of the lab itself does answer; were the check blind, it would not say so."""
    done = run("emtc-lab", "check", "--target", "198.51.100.20:80")
    assert done.returncode == 5
    assert b"reaches 198.51.100.20:80" in done.stderr


def refusal(commands, out):
    """What the lab says in a namespace that is prepared by these commands."""
    inside = " && ".join([*commands, f"exec env EMTC_LAB_PARENT=elsewhere {BIN}/emtc-lab run {SMOKE} -o {out}"])
    done = subprocess.run(["unshare", "-Urnm", "sh", "-c", inside], capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    assert not out.exists()
    return done.stderr


def test_it_refuses_a_namespace_with_a_link(tmp_path):
    told = refusal(["ip link add out type veth peer name far", "ip link set out up"], tmp_path / "run")
    assert "empty network namespace, found ['out']" in told


def test_it_refuses_the_namespace_it_was_started_from(tmp_path):
    own = str(Path("/proc/self/ns/net").readlink())
    done = run("emtc-lab", "run", SMOKE, "-o", tmp_path / "run", env={**os.environ, "EMTC_LAB_PARENT": own})
    assert done.returncode == 5
    assert b"a network namespace of its own" in done.stderr


_WAY_OUT = """
import subprocess, sys
from emtc_contract.errors import LabError
from emtc_lab.safety import refuse_way_out
for command in sys.argv[1:]:
    subprocess.run(command.split(), check=True)
try:
    refuse_way_out("gw", "10.0.0.1")
except LabError as error:
    print(error)
"""
_TWO = [
    "mount -t tmpfs tmpfs /run",
    "ip netns add d1",
    "ip link add p-d1 type veth peer name eth0 netns d1",
    "ip -n d1 addr add 10.0.0.7/24 dev eth0",
    "ip -n d1 link set eth0 up",
]


@pytest.mark.parametrize(
    ("commands", "said"),
    [
        (["ip -n d1 route add default via 10.0.0.1"], ""),
        (["ip -n d1 route add default via 10.0.0.254"], "d1 has a default route via 10.0.0.254"),
        (["ip -n d1 route add default dev eth0"], "d1 has a default route via eth0"),
        (["ip -n d1 link add if9 type ifb", "ip -n d1 link set if9 up"], "d1 holds the interface if9"),
    ],
)
def test_a_way_out_is_seen(commands, said):
    command = ["unshare", "-Urnm", sys.executable, "-c", _WAY_OUT, *_TWO, *commands]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Unknown device type" in done.stderr:
        pytest.skip("this kernel has no ifb")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith(f"namespace {said}" if said else said)
    assert bool(done.stdout.strip()) == bool(said)


def processes_about(folder):
    """Processes of this machine that carry a folder's name in their command line."""
    return [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if str(folder).encode() in _read(path) and path.parent.name != str(os.getpid())
    ]


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def wait_until_gone(process, seconds=20):
    try:
        ending = os.pidfd_open(process)
    except ProcessLookupError:
        return
    select.select([ending], [], [], seconds)
    os.close(ending)


IN_BACKGROUND = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")  # a script's background jobs ignore SIGINT


@pytest.mark.parametrize(
    ("number", "before"),
    [(signal.SIGINT, ()), (signal.SIGTERM, ()), (signal.SIGKILL, ()), (signal.SIGTERM, IN_BACKGROUND)],
    ids=["int", "term", "kill", "term-in-background"],
)
def test_an_interrupted_run_leaves_nothing_behind(tmp_path, number, before):
    out = tmp_path / "run"
    with subprocess.Popen([*before, BIN / "emtc-lab", "run", SMOKE, "-o", out], stderr=subprocess.PIPE) as lab:
        while b"recording" not in (line := lab.stderr.readline()):
            assert line
        assert len(processes_about(out)) >= 3  # this command, the lab, its recorder
        lab.send_signal(number)
        lab.wait(60)
    assert lab.returncode == (-number if number == signal.SIGKILL else 130)
    for process in processes_about(out):  # the kernel kills a namespace's processes after its first one has ended
        wait_until_gone(int(process))
    assert processes_about(out) == []
    assert list(out.rglob("*.pcap")) == []  # no labels: what was recorded so far keeps its name with .part
    assert list(out.rglob("*.pcap.part"))
