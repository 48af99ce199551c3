"""Scenes for ``test_daemon.py``: ``python daemon_scenes.py SCENE FOLDER`` inside ``unshare -Urnmpf``."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import defaultdict
from datetime import datetime
from pathlib import Path

from model_scenes import learns, updates  # noqa: F401
from scene import BROKER, TOP, Scene, ip, pause, until


def reports(scene: Scene) -> None:
    """Birth, info, health, alerts soon after their evidence, devices, commands, goodbye."""
    scene.start_broker()
    scene.listen()
    scene.start_agent()
    until(lambda: scene.heard("status"), "the birth")
    assert scene.heard("info")[0][1]["interfaces"] == ["in"]
    until(lambda: scene.heard("health"), "health")
    for device in range(20):
        seen = len(scene.alerts())
        scene.scan(device)
        until(lambda seen=seen: len(scene.alerts()) > seen, "an alert")
    delays = sorted(
        heard - datetime.fromisoformat(alert["ts"]).timestamp()
        for heard, alert in scene.heard("alert")
        if alert["state"] == "new"
    )
    print(json.dumps({"delay_ms": round(1000 * delays[len(delays) // 2]), "longest_ms": round(1000 * delays[-1])}))
    assert delays[len(delays) // 2] < 0.3, delays
    assert {device["state"] for _, device in scene.heard("device")} <= {"suspect", "anomalous"}
    commands(scene)
    with traffic(scene):
        begin = time.monotonic()
        assert scene.stop_agent() == 0
        assert time.monotonic() - begin < 10, "traffic does not keep it from stopping"
    until(lambda: scene.heard("status")[-1][1]["state"] == "stopped", "goodbye")


@contextlib.contextmanager
def traffic(scene: Scene):
    """A hundred packets a second all the while."""
    done = threading.Event()

    def send():
        while not done.wait(0.05):
            scene.scan(200, ports=5)

    sender = threading.Thread(target=send)
    sender.start()
    yield
    done.set()
    sender.join()


def commands(scene: Scene) -> None:
    first = scene.alerts()[0]
    assert scene.command("ping")["ok"]
    told = scene.command("status", "")["result"]
    assert told["health"]["incidents_open"] == 20
    assert told["health"]["packets"] == 20 * 192, "its own reports are not among them"
    for verb, payload, wrong in (
        ("ping", "[]", "Expected `object`"),
        ("ack", '{"id": 3}', "Expected `str`"),
        ("ack", json.dumps({"id": "0" * 26}), "no incident"),
        ("suppress", "{}", "names no endpoint"),
        ("suppress", '{"remove": "x"}', "there is no rule"),
        ("learn", '{"seconds": -1}', ">= 0"),
        ("update", "{}", "model updates are off"),
        ("dance", "{}", "no such command"),
        ("status", '{"a": 1}', "unknown field"),
        ("status", "{" * 5000, "status:"),
    ):
        answer = scene.command(verb, payload)
        assert not answer["ok"] and wrong in answer["error"], (verb, answer)
    assert scene.command("ack", json.dumps({"id": first["id"], "verdict": "expected"}))["ok"]
    rule = scene.command("suppress", json.dumps({"endpoint": "10.1.0.77", "hours": 1}))["result"]["rule"]
    seen = len(scene.alerts())
    scene.scan(77)
    scene.scan(78)
    until(lambda: len(scene.alerts()) > seen, "the alert that is not suppressed")
    assert scene.alerts()[-1]["endpoint"]["ip"] == "10.1.0.78"
    assert {one["id"] for one in scene.command("status")["result"]["rules"]} == {rule, f"expected {first['id']}"}
    assert scene.command("suppress", json.dumps({"remove": rule}))["ok"]


def restarts(scene: Scene) -> None:
    """An incident that was open goes on under its id; rules stay."""
    scene.start_broker()
    scene.listen()
    scene.start_agent()
    scene.scan(1)
    (new,) = until(scene.alerts, "an alert")
    scene.command("suppress", '{"endpoint": "10.1.0.9"}')
    for end in (scene.kill_agent, scene.stop_agent):
        end()
        scene.start_agent()
        health = scene.command("status")["result"]
        assert health["health"]["incidents_open"] == 1
        assert len(health["rules"]) == 1
        scene.scan(1)
        scene.scan(9)
    scene.write_settings_quick_end()
    scene.agent.send_signal(signal.SIGHUP)
    end = until(lambda: [one for one in scene.alerts() if one["state"] == "end"], "the end")
    assert {one["id"] for one in scene.alerts()} == {new["id"]}
    assert [one["seq"] for one in scene.alerts()] == list(range(len(scene.alerts())))
    assert end[0]["windows"] > new["windows"]


def kills_in_silence(scene: Scene) -> None:
    """Killed when nothing was told of an incident for longer than it takes to close: it goes on all the same."""
    scene.write_settings_quick_end()
    scene.start_broker()
    scene.listen()
    scene.start_agent()
    scene.scan(1)
    (new,) = until(scene.alerts, "an alert")
    for _ in range(6):
        pause(0.7)
        scene.scan(1)
    scene.kill_agent()
    scene.start_agent()
    for _ in range(3):
        scene.scan(1)
        pause(0.7)
    until(lambda: [one for one in scene.alerts() if one["state"] == "end"], "the end")
    assert {one["id"] for one in scene.alerts()} == {new["id"]}


def uplink(scene: Scene, cut_s: float = 8.0) -> None:
    """The link is cut, then slow (20 kbit/s): late is not lost, and in order."""
    scene.start_broker()
    scene.listen()
    scene.start_agent()
    until(lambda: scene.heard("status"), "the birth")
    ip("link set uplink down")
    for device in range(30):
        scene.scan(device)
    pause(cut_s)
    assert not scene.alerts()
    ip("link set uplink up")
    until(lambda: len(scene.alerts()) >= 30, "what waited")
    slow = ("root", "tbf", "rate", "20kbit", "burst", "1540", "latency", "4s")
    subprocess.run(["tc", "qdisc", "add", "dev", "uplink", *slow], check=True)
    scene.outside("tc", "qdisc", "add", "dev", "net", *slow)
    for device in range(30, 60):
        scene.scan(device)
    until(lambda: len({one["id"] for one in scene.alerts()}) >= 60, "what went slowly", 120)
    in_order(scene)


def in_order(scene: Scene) -> dict[str, str]:
    """Each incident begins with ``new``, its sequence never falls but to repeat; returns the ids by endpoint."""
    ids, last = defaultdict(set), {}
    for alert in scene.alerts():
        ids[alert["endpoint"]["id"]].add(alert["id"])
        seq = alert["seq"]
        if alert["id"] not in last:
            assert (seq, alert["state"]) == (0, "new"), alert
        else:
            assert seq <= last[alert["id"]] + 1, alert
        last[alert["id"]] = max(seq, last.get(alert["id"], 0))
    twice = {endpoint: found for endpoint, found in ids.items() if len(found) > 1}
    assert not twice, twice
    return {endpoint: next(iter(found)) for endpoint, found in ids.items()}


def faults(scene: Scene, incidents: int, seed: int = 1) -> None:
    """So many incidents while the agent and the broker are killed and the link is cut, again and again."""
    rng = random.Random(seed)
    scene.start_broker()
    scene.listen()
    scene.start_agent()
    kills = {"agent": 0, "broker": 0, "link": 0}
    next_fault = time.monotonic() + 0.3
    waiting = list(range(incidents))
    while waiting:
        for device in waiting:
            scene.scan(device)
            pause(0.03)
            if time.monotonic() < next_fault:
                continue
            fault = min(kills, key=lambda one: (kills[one], rng.random()))
            kills[fault] += 1
            if fault == "agent":
                scene.kill_agent()
                scene.start_agent()
            elif fault == "broker":
                scene.kill_broker()
                pause(rng.uniform(0, 2))
                scene.start_broker()
            else:
                ip("link set uplink down")
                pause(rng.uniform(0, 3))
                ip("link set uplink up")
            next_fault = time.monotonic() + rng.uniform(0.1, 1.5)
        # An attack that nobody watched, because the agent was dead, is no incident: it comes again.
        waiting = unheard(scene, waiting)
    ids = in_order(scene)
    assert len(ids) == incidents
    printed = {one["id"] for one in scene.told()}
    assert printed <= set(ids.values()), "what was raised has arrived"
    print(json.dumps({"incidents": len(ids), "messages": len(scene.alerts()), **kills}))


def unheard(scene: Scene, devices: list[int]) -> list[int]:
    """Of which devices no alert has come, after a while."""
    names = {f"02:00:00:01:{device >> 8:02x}:{device & 255:02x}": device for device in devices}
    with contextlib.suppress(AssertionError):
        until(lambda: names.keys() <= {one["endpoint"]["id"] for one in scene.alerts()}, "all of them", 15)
    heard = {one["endpoint"]["id"] for one in scene.alerts()}
    return [device for name, device in names.items() if name not in heard]


def disk(scene: Scene) -> None:
    """The disk is full, then the state file is overwritten with garbage: alerts go on."""
    scene.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", scene.state], check=True)
    scene.start_broker()
    scene.listen()
    scene.start_agent()
    until(lambda: scene.heard("status"), "the birth")
    scene.scan(1)
    until(scene.alerts, "an alert")
    with contextlib.suppress(OSError), (scene.state / "other").open("wb", buffering=0) as other:
        while True:
            other.write(bytes(4_096))
    for device in range(2, 42):
        scene.scan(device)
    until(lambda: len(scene.alerts()) >= 41, "alerts with a full disk")
    (scene.state / "other").unlink()
    scene.scan(42)
    until(lambda: len(scene.alerts()) >= 42, "an alert")
    file = scene.state / "state.db"
    with file.open("r+b") as raw:
        raw.write(b"garbage!" * (file.stat().st_size // 8))
    for device in range(43, 53):
        scene.scan(device)
    until(lambda: len(scene.alerts()) >= 52, "alerts with a damaged file")
    scene.kill_agent()
    file.write_bytes(b"garbage!" * 1_000)
    scene.start_agent()
    scene.scan(53)
    until(lambda: len(scene.alerts()) >= 53, "alerts after a damaged start")
    assert sqlite3.connect(file).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def settings(scene: Scene) -> None:
    """Settings are read again on SIGHUP: wrong ones change nothing, another broker is gone over to."""
    scene.start_broker()
    scene.listen()
    scene.start_agent()
    until(lambda: scene.heard("health"), "health")
    good = scene.settings.read_text()
    scene.settings.write_text(good + "[nonsense]\n")
    scene.agent.send_signal(signal.SIGHUP)
    until(lambda: "unknown setting 'nonsense'" in (scene.folder / "agent.log").read_text(), "a complaint")
    scene.settings.write_text(good.replace(f"mqtts://{BROKER}", f"mqtt://{BROKER}"))
    scene.agent.send_signal(signal.SIGHUP)
    until(lambda: "MQTT without TLS" in (scene.folder / "agent.log").read_text(), "a complaint")
    scene.settings.write_text(good.replace("keepalive_s = 10", "keepalive_s = 20"))
    births = len(scene.heard("status"))
    scene.agent.send_signal(signal.SIGHUP)
    until(lambda: len(scene.heard("status")) >= births + 2, "a new session")
    listening = subprocess.run(["ss", "-Hltun"], capture_output=True, text=True, check=True).stdout
    assert not listening, "no listening socket is opened"


def garbage(scene: Scene, commands: int) -> None:
    """So many garbage commands: each is answered with an error or dropped, memory stays flat, the agent lives."""
    scene.start_broker()
    scene.listen()
    scene.start_agent()
    until(lambda: scene.heard("status"), "the birth")
    helper = [sys.executable, str(Path(__file__).with_name("garbage_commands.py")), str(scene.folder), BROKER, TOP]
    subprocess.run(scene.elsewhere(*helper, str(commands // 10)), check=True)
    before = scene.agent_rss_bytes()
    done = subprocess.run(scene.elsewhere(*helper, str(commands)), check=True, capture_output=True, text=True)
    answered = json.loads(done.stdout)
    grown = scene.agent_rss_bytes() - before
    print(json.dumps({**answered, "grown_mb": round(grown / 1e6, 1)}))
    assert grown < 8e6
    assert scene.command("ping")["ok"]


def mutated(scene: Scene, packets: int) -> None:
    """So many mutated frames at the live interface: memory stays flat, the agent lives and goes on."""
    import numpy as np

    from fuzz.corpus import packets as sound_packets
    from fuzz.packet_mutator import PacketMutator

    scene.start_broker()
    scene.listen()
    scene.start_agent()
    mutator, rng = PacketMutator([one for one in sound_packets() if one[0] == 1]), np.random.default_rng(1)
    sent, before = 0, 0
    while sent < packets:
        batch = mutator.batch(rng, 4_096)
        octets = batch.data.tobytes()
        for at, size in zip(batch.start.tolist(), batch.cap_len.tolist(), strict=True):
            with contextlib.suppress(OSError):  # the kernel sends no frame without an Ethernet header
                scene.wire.send(octets[at : at + max(size, 14)])
                sent += 1
        if not before and sent > packets // 4:
            before = scene.agent_rss_bytes()
    grown = scene.agent_rss_bytes() - before
    health = scene.command("status")["result"]["health"]
    print(json.dumps({"sent": sent, "seen": health["packets"], "grown_mb": round(grown / 1e6, 1)}))
    assert health["packets"] > 0.95 * sent, "the kernel itself throws broken VLAN tags away"
    assert not health["dropped"]
    assert grown < 10e6
    scene.scan(1)
    seen = health["packets"] + 192
    until(lambda: scene.command("status")["result"]["health"]["packets"] >= seen, "further packets")


def main(name: str, folder: str, *numbers: str) -> None:
    scene = Scene(Path(folder))
    try:
        globals()[name](scene, *map(int, numbers))
    except BaseException:
        print((scene.folder / "agent.log").read_text()[-3_000:], file=sys.stderr)
        raise
    finally:
        scene.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
