"""The agent on a live interface, in a network namespace of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from namespaces import need_lab
from programs import BIN, run

pytestmark = pytest.mark.namespaces
SCENES = Path(__file__).parents[1] / "live_scene.py"


def play(scene, kind, *arguments):
    """What the agent printed: alerts without what differs from run to run, and its summary without times."""
    need_lab()
    command = ["unshare", "-Urnm", sys.executable, SCENES, scene, BIN / "emtc-agent", kind, *arguments]
    done = subprocess.run([*map(str, command)], capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return told(done.stdout)


def told(output):
    *alerts, last = [json.loads(line) for line in output.splitlines()]
    kept = ("state", "text", "first_seen", "last_seen", "endpoint", "count", "severity_id")
    summary = {name: value for name, value in last["summary"].items() if name not in ("seconds", "packets/s")}
    return [{name: alert[name] for name in kept if name in alert} for alert in alerts], summary


@pytest.mark.parametrize("kind", ["veth", "tun"])
def test_live_and_replayed_packets_give_the_same_incidents(tmp_path, kind):
    alerts, summary = play("recorded", kind, tmp_path / "live.pcapng")
    replayed = run("emtc-agent", "replay", tmp_path / "live.pcapng", "--json")
    assert replayed.returncode == 0, replayed.stderr
    replayed_alerts, replayed_summary = told(replayed.stdout)
    assert summary["packets"] == 6000
    assert summary["dropped by the kernel"] == 0
    assert {alert["state"] for alert in alerts} >= {"new", "end"}
    assert alerts == replayed_alerts
    shared = summary.keys() & replayed_summary.keys()
    assert {name: summary[name] for name in shared} == {name: replayed_summary[name] for name in shared}


def test_an_interface_may_go_down_be_renamed_and_vanish():
    _, summary = play("unplugged", "veth")
    assert summary["interfaces that came back"] == 1
    assert summary["packets"] > 3 + 10


def test_an_interface_that_cannot_be_watched_is_one_line():
    done = run("emtc-agent", "run", "-i", "nope0")
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert "interface nope0: " in line
