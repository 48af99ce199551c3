"""Commands carried out on a real engine; what is wrong with one is answered, and nothing else happens."""

import json
import logging
import sqlite3

import pytest

from emtc_agent.daemon.commanding import Commander
from emtc_agent.delivery import Request
from emtc_agent.incidents.suppression import MAX_RULES, Rule
from emtc_agent.store import Database, Outbox, Records
from emtc_agent.updates import UpdateConfig, Updater
from emtc_contract.commands import encode_answer
from emtc_contract.messages import Health, decode
from engines import Site
from model_updates import NAME, SHIPPED, Maker
from samples import HEALTH

DAY_S = 86_400
WAIT_S = 20
VERSION = 20_300_001


class Gateway(Site):
    """An engine with all that commands reach, over restarts."""

    def __init__(self, folder, updater=None):
        super().__init__(folder)
        self.database = Database(folder / "state.db")
        self.records, self.outbox = Records(self.database), Outbox(self.database)
        self.commander = Commander(
            engine=self.engine,
            suppression=self.suppression,
            records=self.records,
            outbox=self.outbox,
            updater=updater,
            health=lambda: HEALTH,
            now_us=lambda: self.now_us,
            boot="b1",
        )

    def asked(self, verb, payload=None, **fields):
        """The answer to a command, as it goes to the broker."""
        octets = payload if payload is not None else json.dumps(fields).encode()
        return json.loads(encode_answer(self.commander.answer(Request("cmd", verb, octets))))

    def done(self, verb, **fields):
        answer = self.asked(verb, **fields)
        assert answer["ok"], answer
        return answer["result"]

    def refused(self, verb, payload=None, **fields):
        answer = self.asked(verb, payload, **fields)
        assert set(answer) == {"ok", "error"}
        assert not answer["ok"]
        return answer["error"]


@pytest.fixture
def gateway(tmp_path):
    one = Gateway(tmp_path)
    yield one
    one.database.close()


def test_ping_tells_the_wall_clock(gateway):
    gateway.now_us = 1_767_225_600_000_000
    gateway.engine.tick(gateway.now_us, 3_600_000_000)
    assert gateway.done("ping") == {"boot": "b1", "ts": "2026-01-01T01:00:00.000Z"}


def test_status_tells_health_model_rules_and_learning(gateway):
    told = gateway.done("status")
    assert decode(json.dumps(told["health"]).encode(), Health) == HEALTH
    assert told["info"]["bundle"] == NAME
    assert (told["rules"], told["learned"], told["update"]) == ([], None, None)
    assert told["learning"]["active"] is False
    gateway.done("suppress", endpoint="10.1.0.1")
    gateway.done("learn", seconds=600)
    told = gateway.done("status")
    assert told["rules"][0]["endpoint"] == "10.1.0.1"
    assert (told["learning"]["active"], told["learning"]["seconds"]) == (True, 600)
    gateway.benign(600)
    told = gateway.done("status")
    assert told["learned"]["learned"] is True
    assert told["learned"]["before"]["incidents"] >= 0
    gateway.engine.close()


def test_status_stays_small_with_many_rules(gateway):
    for number in range(MAX_RULES):
        gateway.suppression.add(Rule(id=f"r{number}", endpoint="x" * 200))
    answer = encode_answer(gateway.commander.answer(Request("cmd", "status", b"")))
    assert len(answer) < 64 * 1024


@pytest.mark.parametrize(
    ("verb", "fields", "wrong"),
    [
        ("dance", {}, "no such command: 'dance'"),
        ("ack", {}, "missing required field `id`"),
        ("ack", {"id": "0" * 26}, f"no incident {'0' * 26} is open"),
        ("suppress", {}, "names no endpoint, family or peer"),
        ("suppress", {"remove": "x"}, "there is no rule 'x'"),
        ("suppress", {"endpoint": "x", "hours": 0}, "> 0"),
        ("learn", {"accepted": ["dance"], "trusted": True}, "no family of attack is called 'dance'"),
        ("learn", {"accepted": ["flood"]}, "accepted goes with trusted only"),
        ("learn", {"seconds": 1e9}, "<= "),
        ("update", {}, "model updates are off"),
        ("update", {"action": "rollback"}, "model updates are off"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_happens(gateway, verb, fields, wrong):
    gateway.scans(1)
    before = gateway.done("status")
    assert wrong in gateway.refused(verb, **fields)
    assert gateway.done("status") == before


def test_garbage_is_answered_shortly(gateway):
    for payload in (b"\xff", b"[" * 16_000, b'{"x' + b"y" * 16_000 + b'":1}', b"x" * 17_000, b"null"):
        assert 0 < len(gateway.refused("learn", payload)) <= 500


def test_learning_without_a_state_folder_is_refused(tmp_path):
    gateway = Gateway(tmp_path)
    gateway.commander.engine = Site().engine
    assert gateway.refused("learn") == "learning needs a state folder"
    gateway.database.close()


def test_learning_begins_ends_early_and_is_forgotten(gateway, tmp_path):
    assert gateway.done("learn", seconds=600, trusted=True, accepted=["flood"]) == {
        "learning": True,
        "seconds": 600,
        "trusted": True,
    }
    gateway.benign(100)
    assert gateway.done("learn", seconds=0) == {"learning": False}
    assert gateway.done("status")["learning"]["active"] is False
    assert gateway.done("learn", forget=True) == {"forgotten": False}
    gateway.done("learn", seconds=600)
    gateway.benign(600)
    gateway.engine.close()
    assert gateway.done("learn", forget=True) == {"forgotten": True}
    assert not (tmp_path / "site.overlay").exists()


def test_what_cannot_be_forgotten_is_answered(gateway, tmp_path):
    (tmp_path / "site.overlay").mkdir()
    assert "cannot be removed" in gateway.refused("learn", forget=True)


def test_an_acknowledged_incident_is_told_no_more_unless_it_gets_worse(gateway):
    (new, *_) = gateway.scans(1)
    assert gateway.done("ack", id=new.id) == {"acknowledged": new.id}
    for _ in range(20):
        assert gateway.scans(1) == []
        gateway.passes(60)
    assert gateway.suppression.rules == ()


def test_an_acknowledgement_outlives_a_kill(gateway, tmp_path):
    (new, *_) = gateway.scans(1)
    gateway.done("ack", id=new.id)
    gateway.database.close()
    again = Gateway(tmp_path)
    again.engine.restore(again.records.incidents(), gateway.now_us)
    assert again.engine.pipeline.tracker.find(new.id).acknowledged
    again.database.close()


def test_an_expected_incident_hides_further_ones_of_its_device_for_a_while(gateway, tmp_path):
    (new, *_) = gateway.scans(1)
    answer = gateway.done("ack", id=new.id, verdict="expected", days=2, why="a scanner")
    assert answer == {"acknowledged": new.id, "rule": f"expected {new.id}"}
    (rule,) = gateway.suppression.rules
    assert (rule.endpoint, rule.why, rule.until_us) == (
        new.endpoint.id,
        "a scanner",
        gateway.now_us + 2 * DAY_S * 1_000_000,
    )
    assert new.score < rule.most_score < 2 * max(new.score, gateway.engine.pipeline.tracker.find(new.id).score)
    gateway.passes(3_000)
    assert gateway.scans(1) == []
    assert [one.state for one in gateway.scans(2)][:1] == ["new"]
    gateway.passes(2 * DAY_S)
    assert [one.state for one in gateway.scans(1)][:1] == ["new"], "it is over"
    assert [one.id for one in Records(gateway.database).rules()] == [rule.id], "as long as nobody tidies"


def test_rules_are_kept_found_and_removed(gateway):
    one = gateway.done("suppress", endpoint="10.1.0.1", hours=1)["rule"]
    other = gateway.done("suppress", family="recon", peer="203.0.113.9", why="test")["rule"]
    assert one != other
    assert {rule.id for rule in gateway.records.rules()} == {one, other}
    assert gateway.scans(1) == []
    assert gateway.done("suppress", remove=one) == {"removed": one}
    assert {rule.id for rule in gateway.records.rules()} == {other}
    assert {rule.id for rule in gateway.suppression.rules} == {other}


def test_ended_rules_make_room_in_memory_and_on_disk(gateway):
    for _ in range(MAX_RULES):
        gateway.done("suppress", endpoint="10.1.0.1", hours=1)
    assert f"there are {MAX_RULES} rules already" in gateway.refused("suppress", endpoint="10.1.0.2")
    gateway.passes(3_600)
    rule = gateway.done("suppress", endpoint="10.1.0.2")["rule"]
    assert [one.id for one in gateway.records.rules()] == [rule]


def test_a_rule_that_cannot_be_kept_holds_until_the_end(gateway, caplog):
    with gateway.database.transaction() as connection:
        connection.execute("CREATE TRIGGER full BEFORE INSERT ON rules BEGIN SELECT RAISE(ABORT, 'no room'); END")
    with caplog.at_level(logging.WARNING):
        gateway.done("suppress", endpoint="10.1.0.1")
    assert "rules: cannot be kept now: no room" in caplog.text
    assert gateway.scans(1) == []
    assert gateway.records.rules() == []


def test_rules_on_a_disk_that_cannot_be_read_do_not_end_the_main_loop(gateway, monkeypatch, caplog):
    def broken(*_):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(gateway.records, "rules", broken)
    gateway.done("suppress", endpoint="10.1.0.1")
    assert "disk I/O error" in caplog.text
    assert len(gateway.suppression.rules) == 1


@pytest.fixture(scope="module")
def maker(tmp_path_factory):
    return Maker(tmp_path_factory.mktemp("maker"))


@pytest.fixture
def updating(tmp_path, maker):
    updater = Updater(tmp_path / "models", SHIPPED, [maker.public], config=UpdateConfig(reserve_bytes=0))
    updater.bundle_path()
    one = Gateway(tmp_path, updater)
    yield one
    updater.close()
    one.database.close()


def arrive(updating, maker):
    """The announced version arrives in chunks."""
    updater = updating.commander.updater
    payload, chunks = maker.offer(maker.bundle(VERSION))
    updater.offer(payload)
    assert updater.settle(WAIT_S)
    while wanted := updater.wanted_chunks():
        for argument in wanted:
            updater.chunk(argument, chunks[int(argument.partition("-")[2])])
        assert updater.settle(WAIT_S)
    return updater.poll()


def test_a_model_is_left_and_taken_again_by_command(updating, maker):
    updater = updating.commander.updater
    assert "the fallback is in use" in updating.refused("update", action="rollback")
    assert updating.done("update", action="retry")["announced"] is None
    assert arrive(updating, maker).kind == "update"
    assert updating.done("update")["version"] == VERSION
    updating.done("update", action="rollback")
    assert updater.settle(WAIT_S)
    switch = updater.poll()
    assert (switch.kind, switch.path, switch.why) == ("roll back", SHIPPED, "an operator asked for the model before")
    assert updating.done("status")["update"]["failed_versions"] == [VERSION]
    assert arrive(updating, maker) is None
    assert updating.done("update", action="retry")["announced"] == f"{NAME} version {VERSION}"
    assert arrive(updating, maker).bundle.manifest.version == VERSION


def test_an_unknown_action_is_refused(updating):
    assert "Invalid enum value 'dance'" in updating.refused("update", action="dance")
