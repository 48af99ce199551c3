"""The daemon as it is flashed: a provisioned gateway, mosquitto with TLS and rules, and what goes wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import brokers
from namespaces import need_lab

SCENES = Path(__file__).parents[1] / "daemon_scenes.py"
pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.skipif(brokers.MOSQUITTO is None, reason="mosquitto is not installed"),
]


def play(folder, scene, *numbers, timeout_s=300):
    """Play a scene; returns what it measured."""
    need_lab()
    inside = ["unshare", "-Urnmpf", "--mount-proc", "--kill-child"]
    command = [*inside, sys.executable, SCENES, scene, folder, *numbers]
    with (folder / "scene.txt").open("wb") as out:  # a file: nobody waits for a program that holds a pipe
        done = subprocess.run([*map(str, command)], stdout=out, stderr=out, check=False, timeout=timeout_s)
    told = (folder / "scene.txt").read_text()
    assert done.returncode == 0, told
    return [json.loads(line) for line in told.splitlines() if line.startswith("{")]


SHORT = ("reports", "restarts", "kills_in_silence", "settings", "uplink", "disk", "learns", "updates")


@pytest.mark.parametrize("scene", SHORT)
def test_scene(tmp_path, scene):
    play(tmp_path, scene)


def test_incidents_survive_kills_of_agent_and_broker_and_cuts_of_the_link(tmp_path):
    (measured,) = play(tmp_path, "faults", 100)
    assert measured["agent"] + measured["broker"] + measured["link"] >= 1


def test_garbage_commands_are_answered_with_errors(tmp_path):
    play(tmp_path, "garbage", 2_000)


def test_mutated_frames_at_a_live_interface(tmp_path):
    play(tmp_path, "mutated", 40_000)


@pytest.mark.heavy
def test_a_thousand_incidents_survive(tmp_path):
    print(play(tmp_path, "faults", 1_000, timeout_s=900))


@pytest.mark.heavy
def test_a_hundred_thousand_garbage_commands(tmp_path):
    print(play(tmp_path, "garbage", 100_000, timeout_s=900))


@pytest.mark.heavy
def test_a_million_mutated_frames(tmp_path):
    print(play(tmp_path, "mutated", 1_000_000, timeout_s=900))
