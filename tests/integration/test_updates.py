"""Model updates end to end: a real web server, a real broker, real bundles in real runtimes."""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading

import numpy as np
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

import brokers
from bundles import members, write
from emtc_agent.detector import load_bundle
from emtc_agent.report.broker import BrokerUrl
from emtc_agent.updates import UpdateConfig, Updater
from emtc_agent.updates.download import DownloadConfig
from emtc_agent.updates.trial import TrialConfig
from emtc_contract.bundle import CHECK_ROWS, MANIFEST
from emtc_contract.errors import InputError
from emtc_contract.topics import build, parse
from emtc_export import signing
from model_updates import NAME, SHIPPED, Maker, WebServer
from support import ROOT

WAIT_S = 20
CONFIG = UpdateConfig(reserve_bytes=0, download=DownloadConfig(timeout_s=2.0))


@pytest.fixture(scope="module")
def maker(tmp_path_factory):
    return Maker(tmp_path_factory.mktemp("maker"))


@pytest.fixture
def server(maker):
    with WebServer(maker.bundle(20_300_001).read_bytes()).running() as running:
        yield running


V1, V2, V3 = 20_300_001, 20_300_002, 20_300_003  # newer than what is shipped


class Gateway:
    """An updater as the daemon uses it, with a clock of its own."""

    def __init__(self, folder, keys, config=CONFIG, fallback=SHIPPED, **others):
        self.now_s = 1_000.0
        self.folder = folder
        self.updater = Updater(folder, fallback, keys, config=config, clock=lambda: self.now_s, **others)
        self.path = self.updater.bundle_path()

    def takes(self, payload, chunks=()):
        """Offers, waits, and returns the switch, if there is one."""
        self.updater.offer(payload)
        assert self.updater.settle(WAIT_S)
        while wanted := self.updater.wanted_chunks():
            for argument in wanted:
                self.updater.chunk(argument, chunks[int(argument.partition("-")[2])])
            assert self.updater.settle(WAIT_S)
        return self.updater.poll()

    def after(self, seconds):
        """Lets time pass; returns the switch, if there is one."""
        self.now_s += seconds
        switch = self.updater.poll()
        assert self.updater.settle(WAIT_S)
        return switch or self.updater.poll()

    @property
    def state(self):
        return self.updater.state()

    @property
    def counters(self):
        return self.updater.state()["counters"]


@pytest.fixture
def gateway(maker, tmp_path):
    """A function that starts a process of the gateway; all are closed at the end."""
    open_now = []

    def start(keys=(maker.public,), **others):
        open_now.append(Gateway(tmp_path / "models", keys, **others))
        return open_now[-1]

    yield start
    for one in open_now:
        one.updater.close()


def version_of(path):
    return load_bundle(path).manifest.version


def linked(maker, server, version):
    """Puts a version on the server; returns its announcement."""
    server.content = maker.bundle(version).read_bytes()
    return maker.offer(maker.bundle(version), url=server.url)[0]


def test_a_download_becomes_a_switch_a_trial_and_the_model_of_the_next_start(maker, server, gateway):
    one = gateway()
    assert one.path == SHIPPED
    switch = one.takes(linked(maker, server, V1))
    assert (switch.kind, switch.bundle.manifest.version, switch.path.name) == ("update", V1, "a.bundle")
    assert len(switch.runtime.run(one_row(switch)).score) == 1
    assert one.state["on_trial"]
    one.updater.observe(1_000, 0.1, 1, 0)
    assert one.after(3_599) is None
    assert one.state["on_trial"]
    assert one.after(1) is None
    assert not one.state["on_trial"]
    assert one.counters == {"confirmed": 1, "offers": 1, "switched": 1}
    one.updater.close()
    again = gateway()
    assert version_of(again.path) == V1
    assert again.takes(maker.offer(maker.bundle(V1), url=server.url)[0]) is None, "retained: comes at each connection"
    assert again.state["last_error"] == ""
    assert len(server.asked) == 1


def one_row(switch):
    return np.zeros((1, len(switch.bundle.schema.features)), np.float32)


def test_chunks_from_a_broker_become_a_switch(maker, gateway, tmp_path):
    """The daemon's part in small: it subscribes to what is wanted, and unsubscribes from what has come."""
    if brokers.MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    payload, chunks = maker.offer(maker.bundle(V1), chunk_bytes=100_000)
    one, came = gateway(), queue.Queue()
    with brokers.mosquitto(tmp_path) as url:
        with client(url) as publisher:
            for name, content in zip(chunk_names(maker, V1, len(chunks)), chunks, strict=True):
                publisher.publish(build("acme", "gw-1", "chunk", name), content, 1, retain=True).wait_for_publish(
                    WAIT_S
                )
            publisher.publish(build("acme", "gw-1", "model"), payload, 1, retain=True).wait_for_publish(WAIT_S)
        with client(url) as subscriber:
            subscriber.on_message = lambda _c, _u, message: came.put(message)
            subscriber.subscribe(build("acme", "gw-1", "model"), 1)
            one.updater.offer(came.get(timeout=WAIT_S).payload)
            assert one.updater.settle(WAIT_S)
            got = 0
            while wanted := one.updater.wanted_chunks():
                assert len(wanted) <= CONFIG.chunks_at_once
                topics = [build("acme", "gw-1", "chunk", argument) for argument in wanted]
                subscriber.subscribe([(topic, 1) for topic in topics])
                for _ in topics:
                    message = came.get(timeout=WAIT_S)
                    one.updater.chunk(parse(message.topic).argument, message.payload)
                    got += 1
                subscriber.unsubscribe(topics)
                assert one.updater.settle(WAIT_S)
    switch = one.updater.poll()
    assert switch.bundle.manifest.version == V1
    assert got == len(chunks), "no octet twice over a metered link"
    assert one.counters["chunks"] == len(chunks)


def chunk_names(maker, version, number):
    sha8 = maker.announcement(maker.bundle(version), chunk_bytes=100_000).sha8
    return [f"{sha8}-{one}" for one in range(number)]


class client:  # noqa: N801
    """A connected paho client."""

    def __init__(self, url):
        self.url = BrokerUrl.parse(url)

    def __enter__(self):
        self.paho = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        connected = threading.Event()
        self.paho.on_connect = lambda *_: connected.set()
        self.paho.connect(self.url.host, self.url.port)
        self.paho.loop_start()
        assert connected.wait(WAIT_S)
        return self.paho

    def __exit__(self, *_):
        self.paho.disconnect()
        self.paho.loop_stop()


def test_chunks_go_on_where_another_process_ended(maker, gateway):
    payload, chunks = maker.offer(maker.bundle(V1), chunk_bytes=65_536)
    one = gateway()
    one.updater.offer(payload)
    assert one.updater.settle(WAIT_S)
    first = one.updater.wanted_chunks()
    for argument in (first[3], first[1]):
        one.updater.chunk(argument, chunks[int(argument.partition("-")[2])])
    one.updater.chunk(first[0], b"too short")
    one.updater.chunk("00000000-0", b"of another")
    one.updater.chunk("../../etc", b"junk")
    one.updater.chunk(first[0], bytes(262_145))
    assert one.updater.settle(WAIT_S)
    assert one.state["have_bytes"] == 2 * 65_536
    assert one.counters == {"chunks": 2, "chunks ignored": 1, "offers": 1, "refused": 2, "troubles": 3}
    one.updater.close()
    again = gateway()
    assert again.updater.wanted_chunks() == (), "what is there counts when it is announced again"
    again.updater.offer(payload)
    assert again.updater.settle(WAIT_S)
    assert set(again.updater.wanted_chunks()).isdisjoint({first[1], first[3]})
    assert again.takes(payload, chunks).bundle.manifest.version == V1


def test_without_a_key_nothing_is_taken(maker, server, gateway):
    one = gateway(keys=())
    assert one.takes(linked(maker, server, V1)) is None
    assert not one.state["enabled"]
    assert "no bundle key is configured" in one.state["last_error"]
    assert server.asked == []
    gateway().takes(linked(maker, server, V1))
    assert gateway(keys=()).path == SHIPPED, "nor used when the key is taken away"


def test_foreign_old_and_changed_announcements_are_refused(maker, server, gateway, tmp_path):
    one = gateway()
    stranger = Maker(tmp_path)
    foreign, _ = stranger.offer(stranger.bundle(V2), url=server.url)
    assert one.takes(foreign) is None
    assert "signed by another" in one.state["last_error"]
    good = linked(maker, server, V2)
    changed = json.loads(good)
    changed["announcement"] = changed["announcement"].replace(str(V2), str(V3))
    assert one.takes(json.dumps(changed).encode()) is None
    assert "not as its maker signed it" in one.state["last_error"]
    assert one.takes(maker.offer(maker.bundle(V2, "other"), url=server.url)[0]) is None
    assert "announced is model 'other'" in one.state["last_error"]
    for payload in (b"", b"junk", b"x" * 99_999):
        assert one.takes(payload) is None
    assert one.takes(maker.offer(maker.bundle(2), url=server.url)[0]) is None, "older than what is shipped"
    assert server.asked == []
    assert one.counters["refused"] == 7
    assert one.takes(good).bundle.manifest.version == V2
    one.updater.observe(1_000, 0.1, 1, 0)
    one.after(3_600)
    old, _ = maker.offer(maker.bundle(V1), url=server.url)
    assert one.takes(old) is None, "genuine, and replayed"
    assert "not newer than" in one.state["last_error"]
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ((1_000, 30.0, 1, 0), "s per window, allowed"),
        ((1_000, 0.1, 500, 0), "windows unusual"),
        ((10, 0.1, 0, 200), "incidents in"),
    ],
)
def test_a_model_that_misbehaves_is_rolled_back_and_not_taken_again(maker, server, gateway, figures, said):
    one = gateway()
    one.takes(linked(maker, server, V1))
    one.updater.observe(1_000, 0.1, 1, 0)
    one.after(3_600)
    bad = linked(maker, server, V2)
    assert one.takes(bad).kind == "update"
    one.updater.observe(*figures)
    back = one.after(0)
    assert (back.kind, back.bundle.manifest.version) == ("roll back", V1)
    assert said in back.why
    assert one.after(0) is None
    assert one.state["failed_versions"] == [V2]
    asked = len(server.asked)
    assert one.takes(bad) is None
    assert "failed here before" in one.state["last_error"]
    one.updater.close()
    again = gateway()
    assert version_of(again.path) == V1
    assert again.takes(bad) is None
    assert len(server.asked) == asked
    assert again.takes(linked(maker, server, V3)).bundle.manifest.version == V3


def test_the_first_model_goes_back_to_the_fallback(maker, server, gateway):
    one = gateway()
    one.takes(linked(maker, server, V1))
    one.updater.observe(1_000, 30.0, 0, 0)
    back = one.after(0)
    assert (back.kind, back.path) == ("roll back", SHIPPED)
    assert gateway().path == SHIPPED


def test_what_the_model_before_did_sets_the_band(maker, server, gateway):
    """And is remembered over a restart."""
    one = gateway()
    one.updater.observe(1_000, 10.0, 50, 0)
    one.takes(linked(maker, server, V1))
    one.updater.close()
    again = gateway()
    assert again.state["on_trial"]
    again.updater.observe(1_000, 45.0, 200, 0)
    assert again.after(0) is None
    again.updater.observe(1_000, 60.0, 0, 0)
    assert again.after(0).kind == "roll back"


def test_a_model_that_cannot_be_opened_is_left(maker, server, gateway):
    one = gateway()
    one.takes(linked(maker, server, V1))
    assert one.updater.rejected("the runtime does not load it") == SHIPPED
    assert not one.state["on_trial"]
    assert one.state["failed_versions"] == [V1]
    assert gateway().path == SHIPPED


def test_what_is_announced_during_a_trial_waits_for_its_end(maker, server, gateway):
    one = gateway()
    one.takes(linked(maker, server, V1))
    assert one.takes(linked(maker, server, V2)) is None
    assert len(server.asked) == 1
    one.updater.observe(1_000, 0.1, 1, 0)
    assert one.after(3_600).bundle.manifest.version == V2
    assert one.updater.state()["counters"]["confirmed"] == 1


def test_a_newer_announcement_takes_the_place_of_what_is_coming(maker, server, gateway):
    payload, chunks = maker.offer(maker.bundle(V1), chunk_bytes=65_536)
    one = gateway()
    one.updater.offer(payload)
    assert one.updater.settle(WAIT_S)
    one.updater.chunk(one.updater.wanted_chunks()[0], chunks[0])
    assert one.takes(linked(maker, server, V2)).bundle.manifest.version == V2
    assert one.updater.wanted_chunks() == ()


def test_a_cut_download_is_tried_again_after_a_pause(maker, server, gateway):
    one = gateway()
    server.cuts = [100_000, 100_000]
    assert one.takes(linked(maker, server, V1)) is None
    assert one.state["phase"] == "waiting to retry"
    assert one.state["have_bytes"] == 100_000
    assert one.after(10) is None
    assert len(server.asked) == 1
    assert one.after(65) is None
    assert one.state["have_bytes"] == 200_000
    assert one.after(30) is None, "the pause grows"
    assert one.after(120).bundle.manifest.version == V1
    assert server.asked == [None, "bytes=100000-", "bytes=200000-"]


def test_content_that_keeps_arriving_damaged_is_given_up(maker, server, gateway):
    one = gateway()
    payload = linked(maker, server, V1)
    server.content = server.content[:-1] + b"x"
    assert one.takes(payload) is None
    for _ in range(10):
        assert one.after(4_000) is None
    assert len(server.asked) == CONFIG.max_damaged + 1
    assert one.state["phase"] == "idle"
    assert not list(one.folder.glob("incoming*"))
    assert one.takes(payload) is None
    assert len(server.asked) == CONFIG.max_damaged + 1
    assert one.state["failed_versions"] == [], "the bundle never came, so nothing is known of it"


def unfit(maker, folder, version):
    """A genuine bundle that does not do what it should: its model finds nothing."""
    content = members(maker.bundle(version))
    manifest = json.loads(content[MANIFEST])
    for artifact in manifest["artifacts"]:
        artifact["threshold"] *= 1e3
    path = folder / "unfit.bundle"
    write(path, content | {MANIFEST: json.dumps(manifest)})
    signing.sign(path, maker.secret, "")
    return path


def test_a_bundle_that_fails_its_test_is_never_switched_to(maker, server, gateway, tmp_path):
    one, bad = gateway(), unfit(maker, tmp_path, V1)
    server.content = bad.read_bytes()
    payload, _ = maker.offer(bad, url=server.url)
    assert one.takes(payload) is None
    assert "verdicts" in one.state["last_error"]
    assert one.state["failed_versions"] == [V1]
    assert one.counters["failed tests"] == 1
    assert sorted(path.name for path in one.folder.iterdir()) == ["current.json"]
    assert one.takes(payload) is None
    assert one.after(9_999) is None
    assert gateway().takes(payload) is None
    assert len(server.asked) == 1


def test_a_bundle_that_killed_every_process_that_tested_it_is_left(maker, server, gateway):
    one, payload = gateway(), linked(maker, server, V1)
    sha256 = maker.announcement(maker.bundle(V1), url=server.url).sha256
    (one.folder / "current.json").write_text(json.dumps({"testing": {"sha256": sha256, "deaths": 2}}))
    again = gateway()
    assert again.takes(payload) is None
    assert "ended the process each time it was tested" in again.state["last_error"]
    assert again.state["failed_versions"] == [V1]
    assert gateway().takes(payload) is None
    assert len(server.asked) == 1


def test_a_runtime_that_is_missing_says_nothing_about_the_bundle(maker, server, gateway):
    one = gateway(runtime="tflite-runtime")
    payload = linked(maker, server, V1)
    assert one.takes(payload) is None
    assert "tflite-runtime is not installed" in one.state["last_error"]
    assert one.state["failed_versions"] == []
    one.updater.close()
    assert gateway().takes(payload).bundle.manifest.version == V1
    assert len(server.asked) == 1, "it was there already"


def test_a_full_disk_is_said_and_nothing_is_begun(maker, server, gateway):
    one = gateway(config=UpdateConfig(reserve_bytes=1 << 60))
    assert one.takes(linked(maker, server, V1)) is None
    assert "bytes free" in one.state["last_error"]
    assert list(one.folder.iterdir()) == []
    assert server.asked == []


def test_the_disk_holds_the_slots_and_one_more_bundle_at_most(maker, server, gateway):
    one, most = gateway(), 0
    for version in (V1, V2, V3):
        one.takes(linked(maker, server, version))
        one.updater.observe(1_000, 0.1, 1, 0)
        one.after(3_600)
        held = sum(path.stat().st_size for path in one.folder.iterdir())
        most = max(most, held)
    assert version_of(one.updater.bundle_path()) == V3
    assert most < 2.1 * maker.bundle(V1).stat().st_size
    names = {path.name for path in one.folder.iterdir()}
    assert names == {"a.bundle", "a.bundle.minisig", "b.bundle", "b.bundle.minisig", "current.json"}


def test_a_slot_that_was_damaged_comes_again(maker, server, gateway):
    one = gateway()
    payload = linked(maker, server, V1)
    one.takes(payload)
    one.updater.observe(1_000, 0.1, 1, 0)
    one.after(3_600)
    one.updater.close()
    (one.folder / "a.bundle").write_bytes(b"junk")
    again = gateway()
    assert again.path == SHIPPED
    assert again.takes(payload).bundle.manifest.version == V1


def test_floods_of_messages_are_bounded(maker, server, gateway):
    one = gateway()
    for number in range(500):
        one.updater.offer(b"junk %d" % number)
    assert one.updater.settle(WAIT_S)
    counters = one.counters
    assert counters["offers"] == 500
    assert counters["refused"] + counters.get("dropped", 0) == 500
    assert one.takes(linked(maker, server, V1)).bundle.manifest.version == V1


@pytest.mark.parametrize("content", ["file", "missing key"])
def test_a_folder_or_key_that_cannot_be_used_is_said(maker, server, gateway, tmp_path, content):
    if content == "file":
        (tmp_path / "models").write_bytes(b"")
        with pytest.raises(InputError, match=r"models: File exists"):
            gateway()
        return
    one = gateway(keys=(tmp_path / "missing.pub",))
    assert one.path == SHIPPED
    assert one.takes(linked(maker, server, V1)) is None
    assert "missing.pub" in one.state["last_error"]


def test_a_fallback_that_cannot_be_read_does_not_stop_updates(maker, server, gateway, tmp_path):
    one = gateway(fallback=tmp_path / "none.bundle", config=UpdateConfig(reserve_bytes=0, names=(NAME,)))
    assert one.path == tmp_path / "none.bundle"
    assert one.takes(linked(maker, server, V1)).bundle.manifest.version == V1


_DIES = """
import os, signal, sys
from pathlib import Path
from emtc_agent.updates import Updater
updater = Updater(Path(sys.argv[1]), Path(sys.argv[2]), [Path(sys.argv[3])])
print(updater.bundle_path(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_is_killed_again_and_again_during_a_trial_goes_back(maker, server, gateway):
    one = gateway(config=UpdateConfig(reserve_bytes=0, trial=TrialConfig(max_deaths=1)))
    one.takes(linked(maker, server, V1))
    one.updater.close()
    command = [sys.executable, "-c", _DIES, one.folder, SHIPPED, maker.public]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("agent", "contract"))}
    paths = []
    for _ in range(4):
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        paths.append(done.stdout.strip())
    assert paths == [str(one.folder / "a.bundle")] * 3 + [str(SHIPPED)]


def test_a_start_leaves_the_shipped_bundle_alone(maker, server, gateway, tmp_path):
    fallback = tmp_path / "shipped.bundle"
    shutil.copy(SHIPPED, fallback)
    fallback.chmod(0o444)
    one = gateway(fallback=fallback)
    one.takes(linked(maker, server, V1))
    one.updater.observe(1_000, 30.0, 0, 0)
    assert one.after(0).path == fallback
    assert fallback.read_bytes() == SHIPPED.read_bytes()
    assert CHECK_ROWS in members(fallback)
