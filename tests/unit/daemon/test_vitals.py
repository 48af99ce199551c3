"""The health message and the metrics file, of the same numbers."""

import msgspec
import pytest

from emtc_agent.daemon.vitals import Vitals, write_metrics_file
from emtc_agent.delivery.traffic import Traffic
from emtc_agent.learning.drift import Drift
from emtc_agent.store import Database, Outbox, OutboxConfig
from emtc_agent.store.outbox import Outgoing
from emtc_agent.updates import UpdateConfig, Updater
from emtc_contract.messages import Health, decode, encode
from engines import Site
from model_updates import SHIPPED, Maker
from samples import HEALTH


class Capture:
    """What a live capture tells; a real one needs privileges."""

    missing = ("wwan0",)

    def losses(self):
        return {"dropped by the kernel": 7, "times the ring was full": 3, "interfaces that came back": 1}


class Gateway(Site):
    def __init__(self, folder=None, monthly_bytes=None):
        super().__init__(folder)
        self.database = Database(None)
        self.outbox = Outbox(self.database, OutboxConfig(4_000))
        self.traffic = Traffic(self.database, monthly_bytes)
        self.vitals = Vitals("b1", self.database, self.outbox, self.traffic)

    def health(self, updater=None):
        health = self.vitals.health(self.engine, Capture(), None, updater)
        assert decode(encode(health), Health) == health
        return health


def test_a_quiet_gateway():
    health = Gateway().health()
    assert (health.boot, health.packets, health.windows, health.queued, health.connections) == ("b1", 0, 0, 0, 0)
    assert (health.level, health.learning, health.drift, health.update) == ("everything", "", "", "")
    assert health.rss_bytes > 1_000_000
    assert health.cpu_s > 0
    assert 0 <= health.uptime_s < 60


def test_numbers_of_capture_and_pipeline():
    gateway = Gateway()
    gateway.scans(1)
    gateway.scans(2)
    health = gateway.health()
    stats = gateway.engine.pipeline.stats
    assert (health.packets, health.incidents_open) == (2 * 192, 2)
    assert (health.windows, health.endpoints, health.scored) == (
        stats.windows,
        stats.endpoints,
        gateway.engine.pipeline.scored,
    )
    assert (health.dropped, health.freezes, health.interfaces_missing) == (7, 3, ("wwan0",))


def test_numbers_of_the_delivery():
    gateway = Gateway(monthly_bytes=1_000)
    gateway.outbox.put([Outgoing("t", bytes(300), 4, 60.0) for _ in range(5)])
    gateway.outbox.put([Outgoing("t", bytes(300), 4, 60.0) for _ in range(10)])
    gateway.traffic.add(750)
    health = gateway.health()
    assert health.queued_bytes == gateway.outbox.size_bytes <= 4_000
    assert health.queued == len(gateway.outbox)
    assert health.queued + health.lost_messages == 15
    assert health.lost_messages > 0
    assert (health.month_bytes, health.level) == (750, "digests")
    gateway.traffic.add(200)
    assert gateway.health().level == "critical"


def test_learning_and_drift_in_words(tmp_path):
    gateway = Gateway(tmp_path)
    gateway.engine.learner.start(gateway.now_us, 600)
    gateway.benign(120)
    assert gateway.health().learning == "120 of 600 s"
    gateway.engine.drift = Drift(0, 2.5, ("packets", "bytes"))
    assert gateway.health().drift == "2.5 times: packets, bytes"
    gateway.benign(480)
    gateway.engine.close()
    assert gateway.health().learning == ""


def test_an_update_on_its_way(tmp_path):
    maker = Maker(tmp_path)
    updater = Updater(tmp_path / "models", SHIPPED, [maker.public], config=UpdateConfig(reserve_bytes=0))
    gateway = Gateway()
    assert gateway.health(updater).update == ""
    updater.offer(maker.offer(maker.bundle(20_300_001))[0])
    assert updater.settle(20)
    assert gateway.health(updater).update == "waiting for chunks"
    updater.close()


def test_a_disk_that_cannot_be_read_does_not_end_the_main_loop():
    gateway = Gateway()
    gateway.outbox.put([Outgoing("t", b"x", 4, 60.0)])
    gateway.database.close()
    assert gateway.health().queued == 0


def test_metrics_are_the_same_numbers(tmp_path):
    path = tmp_path / "emtc.prom"
    write_metrics_file(path, msgspec.structs.replace(HEALTH, packets=17, rss_bytes=12_345, dropped=3))
    lines = path.read_text().splitlines()
    for line in ("emtc_packets_total 17", "emtc_dropped_total 3", "emtc_rss_bytes 12345"):
        assert line in lines
    told = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    numbers = {
        name
        for name, value in msgspec.to_builtins(HEALTH).items()
        if isinstance(value, int | float) and name != "store_detached"
    }
    assert {name.removeprefix("emtc_").removesuffix("_total") for name in told} == numbers


@pytest.mark.parametrize("place", ["missing/emtc.prom", "."])
def test_metrics_that_cannot_be_written_are_logged(tmp_path, caplog, place):
    write_metrics_file(tmp_path / place, HEALTH)
    assert "metrics: " in caplog.text
