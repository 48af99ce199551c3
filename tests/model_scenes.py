"""Scenes of ``daemon_scenes.py`` about the model: what is learned on site, and what comes over the broker."""

from __future__ import annotations

import json
import signal

from model_updates import Maker
from scene import Scene, until

V1, V2, V3 = 20_300_001, 20_300_002, 20_300_003  # newer than what is shipped


def learns(scene: Scene) -> None:
    """Learning is commanded, and told of while it lasts and when it ends; what was learned can be forgotten."""
    scene.start_broker()
    scene.listen()
    scene.start_agent()
    until(lambda: scene.heard("status"), "the birth")
    report = learned(scene, 1, trusted=False)
    assert report["reason"] == "0 windows to judge on, 100 are needed", report
    assert not (scene.state / "learned.csv").exists(), "there was nothing"
    report = learned(scene, 12, trusted=True)
    print(json.dumps({name: report[name] for name in ("learned", "reason", "seen", "sampled", "endpoints")}))
    assert report["learned"] and report["trusted"] and report["endpoints"] == 120, report
    assert report["after"]["incidents"] < report["before"]["incidents"], f"no longer strange: {report}"
    assert report["after"]["attacks_seen"] > 0.5
    kept = until(lambda: (scene.state / "learned.csv").exists() and (scene.state / "learned.csv").read_text(), "rows")
    assert len(kept.splitlines()) == report["sampled"] + 2 > 500
    bundles_own, learned_one = scene.alerts()[0]["threshold"], scanned(scene, 1)["threshold"]
    assert learned_one != bundles_own
    scene.stop_agent()
    scene.start_agent()
    assert scanned(scene, 2)["threshold"] == learned_one, "a restart goes on with what was learned"
    assert scene.command("learn", '{"forget": true}')["result"] == {"forgotten": True}
    assert scanned(scene, 3)["threshold"] == bundles_own
    assert not list(scene.state.glob("learn*")) and not list(scene.state.glob("site*"))


def scanned(scene: Scene, device: int) -> dict:
    """The alert of a device that scans."""
    scene.scan(device)
    found = until(lambda: [one for one in scene.alerts() if one["endpoint"]["ip"] == f"10.1.0.{device}"], "a scan")
    return found[-1]


def learned(scene: Scene, seconds: int, *, trusted: bool) -> dict:
    """Learn for so long while devices chat, or are silent if it is only a second; returns the report."""
    answer = scene.command("learn", json.dumps({"seconds": seconds, "trusted": trusted}))
    assert answer["result"] == {"learning": True, "seconds": seconds, "trusted": trusted}
    if seconds > 1:
        scene.chat(seconds / 2)
        told = scene.command("status")["result"]
        assert told["learning"]["active"] and told["health"]["learning"].endswith(f" of {seconds} s"), told
        scene.chat(seconds / 2)
    done = until(lambda: not (told := scene.command("status")["result"])["learning"]["active"] and told, "the end")
    assert done["learned"] == done["learning"]["last"]
    return done["learned"]


def updates(scene: Scene) -> None:
    """Models come over the broker and are left again; incidents go on meanwhile."""
    maker, stranger = (Maker(scene.folder / name) for name in ("maker", "stranger"))
    scene.write_settings(f"[model]\nkeys = ['{maker.public}']\n")
    scene.start_broker()
    scene.listen()
    scene.start_agent()
    until(lambda: scene.heard("info"), "the model")
    shipped = in_use(scene)
    scene.scan(1)
    (new,) = until(scene.alerts, "an alert")

    scene.announce(stranger.bundle(V2), stranger.secret)
    until(lambda: "signed by another" in update(scene)["last_error"], "the refusal of a stranger")
    scene.announce(maker.unfit_bundle(V3), maker.secret)
    until(lambda: update(scene)["failed_versions"] == [V3], "the refusal of a model that finds nothing")
    assert "verdicts" in update(scene)["last_error"]
    assert in_use(scene) == shipped and len(scene.heard("info")) == 1

    scene.announce(maker.bundle(V1), maker.secret)
    until(lambda: in_use(scene) == V1, "the new model")
    told = update(scene)
    assert told["on_trial"] and told["version"] == V1 and told["slot"] == "a", told

    scene.kill_agent()
    scene.start_agent()
    until(lambda: in_use(scene) == V1 and len(scene.heard("info")) >= 3, "the same model after a kill")
    assert scene.command("update", '{"action": "rollback"}')["ok"]
    until(lambda: in_use(scene) == shipped, "the model before")
    assert "the fallback is in use" in scene.command("update", '{"action": "rollback"}')["error"]
    assert update(scene)["failed_versions"] == [V1, V3]

    scene.announce(maker.bundle(V1), maker.secret)
    until(lambda: "failed here before" in update(scene)["last_error"], "the refusal of what was left")
    assert scene.command("update", '{"action": "retry"}')["result"]["announced"].endswith(f"version {V1}")
    until(lambda: in_use(scene) == V1, "the model that was left")
    assert scene.command("status")["result"]["health"]["incidents_open"] == 1
    scene.scan(1)
    scene.write_settings_quick_end()
    scene.agent.send_signal(signal.SIGHUP)
    end = until(lambda: [one for one in scene.alerts() if one["state"] == "end"], "the end")[-1]
    assert (end["id"], end["model"]["version"]) == (new["id"], V1)
    assert {one["id"] for one in scene.alerts()} == {new["id"]}


def in_use(scene: Scene) -> int:
    """Version of the model, as it was told last."""
    return scene.heard("info")[-1][1]["bundle_version"]


def update(scene: Scene) -> dict:
    return scene.command("update")["result"]
