"""Going back to the model before, and trying again what failed, because an operator wants it."""

import itertools
import shutil

import pytest

from emtc_agent.detector import load_bundle
from emtc_agent.updates import UpdateConfig, Updater
from emtc_agent.updates.record import Identity
from emtc_agent.updates.slots import Slots
from emtc_agent.updates.trial import Expected
from emtc_agent.updates.updater import _identity
from emtc_contract.errors import InputError
from model_updates import NAME, SHIPPED
from power_cuts import every_cut

WAIT_S = 20
CONFIG = UpdateConfig(reserve_bytes=0)
V1, V2, V3 = 20_300_001, 20_300_002, 20_300_003  # newer than what is shipped


class Gateway:
    """An updater with a clock of its own, which gets bundles as chunks."""

    def __init__(self, folder, maker, fallback=SHIPPED, keys=None):
        self.maker, self.now_s, self.folder = maker, 1_000.0, folder
        keys = [maker.public] if keys is None else keys
        self.updater = Updater(folder, fallback, keys, config=CONFIG, clock=lambda: self.now_s)
        self.path = self.updater.bundle_path()

    def takes(self, version):
        """Announces a version, and returns the one that is switched to."""
        payload, self.chunks = self.maker.offer(self.maker.bundle(version))
        self.updater.offer(payload)
        return self.switched()

    def switched(self):
        """The version that is switched to when all is done, if any."""
        assert self.updater.settle(WAIT_S)
        while wanted := self.updater.wanted_chunks():
            for argument in wanted:
                self.updater.chunk(argument, self.chunks[int(argument.partition("-")[2])])
            assert self.updater.settle(WAIT_S)
        switch = self.updater.poll()
        return switch and switch.bundle.manifest.version

    def passes_its_trial(self):
        self.updater.observe(1_000, 0.1, 1, 0)
        self.now_s += 3_600
        assert self.updater.poll() is None
        assert self.updater.settle(WAIT_S)
        assert not self.state["on_trial"]

    def goes_back(self):
        self.updater.roll_back("an operator asked")
        return self.switched()

    def tries_again(self):
        told = self.updater.retry()
        return told, self.switched()

    @property
    def state(self):
        self.updater.poll()
        return self.updater.state()


@pytest.fixture
def gateway(maker, tmp_path):
    """A function that starts a process of the gateway; all are closed at the end."""
    open_now = []

    def start(**others):
        open_now.append(Gateway(tmp_path / "models", maker, **others))
        return open_now[-1]

    yield start
    for one in open_now:
        one.updater.close()


SHIPPED_VERSION = load_bundle(SHIPPED).manifest.version


def test_back_during_the_trial_is_as_after_a_failed_one(gateway):
    one = gateway()
    assert one.takes(V1) == V1
    assert one.goes_back() == SHIPPED_VERSION
    assert one.state["failed_versions"] == [V1]
    assert one.takes(V1) is None
    assert "failed here before" in one.state["last_error"]
    assert gateway().path == SHIPPED


def test_back_after_the_trial_goes_slot_by_slot_to_the_fallback(gateway):
    one = gateway()
    for version in (V1, V2):
        assert one.takes(version) == version
        one.passes_its_trial()
    assert one.goes_back() == V1
    assert not one.state["on_trial"]
    assert one.state["version"] == V1
    assert one.takes(V2) is None, "its retained announcement comes again with each connection"
    one.updater.close()
    again = gateway()
    assert load_bundle(again.path).manifest.version == V1
    assert again.goes_back() == SHIPPED_VERSION
    with pytest.raises(InputError, match="the fallback is in use"):
        again.updater.roll_back("once more")
    assert again.takes(V3) == V3, "what is newer comes all the same"


def test_a_switch_back_is_told_with_its_reason(gateway):
    one = gateway()
    one.takes(V1)
    one.updater.roll_back("it is loud")
    assert one.updater.settle(WAIT_S)
    switch = one.updater.poll()
    assert (switch.kind, switch.why, switch.path) == ("roll back", "it is loud", SHIPPED)
    assert one.state["counters"]["rolled back"] == 1


def test_a_damaged_slot_is_passed_over_and_a_good_model_is_never_left_for_nothing(gateway, tmp_path):
    fallback = tmp_path / "fallback.bundle"
    shutil.copy(SHIPPED, fallback)
    one = gateway(fallback=fallback)
    for version in (V1, V2):
        one.takes(version)
        one.passes_its_trial()
    (one.folder / "a.bundle").write_bytes(b"damaged")
    fallback_octets = fallback.read_bytes()
    fallback.write_bytes(b"damaged")
    assert one.goes_back() is None
    assert one.state["last_error"] == "there is no model to go back to"
    assert one.state["version"] == V2
    assert one.state["failed_versions"] == []
    fallback.write_bytes(fallback_octets)
    assert one.goes_back() == SHIPPED_VERSION


def test_another_genuine_bundle_in_the_other_slot_is_not_gone_back_to(gateway, maker):
    one = gateway()
    for version in (V1, V2):
        one.takes(version)
        one.passes_its_trial()
    for suffix in ("", ".minisig"):
        shutil.copy(f"{maker.bundle(V3)}{suffix}", f"{one.folder / 'a.bundle'}{suffix}")
    assert one.goes_back() == SHIPPED_VERSION


@pytest.mark.parametrize("confirmed", [False, True])
def test_trying_again_takes_what_was_left(gateway, confirmed):
    one = gateway()
    one.takes(V1)
    if confirmed:
        one.passes_its_trial()
    one.goes_back()
    assert one.tries_again() == (f"{NAME} version {V1}", V1)
    assert one.state["on_trial"]
    assert one.state["failed_versions"] == []


def test_trying_again_does_not_let_older_ones_in(gateway):
    one = gateway()
    for version in (V1, V2):
        one.takes(version)
        one.passes_its_trial()
    assert [one.goes_back(), one.goes_back()] == [V1, SHIPPED_VERSION]
    assert one.takes(V1) is None
    assert one.tries_again() == (f"{NAME} version {V1}", None)
    assert "not newer than" in one.state["last_error"]
    assert one.takes(V2) == V2, "that one was left last, and may come again"


def test_trying_again_ends_a_pause_and_what_was_given_up(gateway):
    one = gateway()
    good = one.maker.offer(one.maker.bundle(V1))
    one.chunks = [bytes(len(chunk)) for chunk in good[1]]
    one.updater.offer(good[0])
    for attempt in itertools.count():
        assert one.switched() is None
        if one.state["phase"] == "idle":
            break
        assert one.state["phase"] == "waiting to retry"
        assert attempt < 9
        one.updater.retry()
    assert attempt == CONFIG.max_damaged, "it came damaged each time, and was left"
    one.updater.offer(good[0])
    assert one.switched() is None
    one.chunks = good[1]
    assert one.tries_again() == (f"{NAME} version {V1}", V1)


def test_with_nothing_announced_failures_are_forgotten_all_the_same(gateway):
    one = gateway()
    one.takes(V1)
    one.goes_back()
    one.updater.close()
    again = gateway()
    assert again.tries_again() == ("", None)
    assert again.state["failed_versions"] == []
    assert again.takes(V1) == V1


def test_an_announcement_by_a_stranger_is_not_looked_at_again(gateway, maker, tmp_path):
    one = gateway()
    assert one.takes(SHIPPED_VERSION) is None, "genuine, and not wanted"
    one.updater.offer(b'{"announcement": "{}", "signature": "x"}')
    assert one.switched() is None
    assert one.tries_again()[0] == f"{NAME} version {SHIPPED_VERSION}"


def test_without_keys_nothing_is_done(gateway):
    one = gateway(keys=[])
    for ask in (lambda: one.updater.roll_back("x"), one.updater.retry):
        with pytest.raises(InputError, match="no bundle key is configured"):
            ask()


def test_a_power_cut_while_going_back_leaves_one_or_the_other(maker, tmp_path):
    def opened(folder):
        return Slots(folder, lambda path: _identity(path, [maker.public]), "1.0")

    template = tmp_path / "models"
    slots = opened(template)
    for version in (11, 12):
        came = tmp_path / "incoming.bundle"
        for suffix in ("", ".minisig"):
            shutil.copy(f"{maker.small_bundle(version)}{suffix}", f"{came}{suffix}")
        slots.switch(came, _identity(maker.small_bundle(version), [maker.public]), Expected())
        slots.confirm()

    def scenario(number):
        folder = tmp_path / str(number)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(template, folder)
        slots = opened(folder)
        slots.go_back(slots.before()[0], "asked")

    def reopened(number):
        slots = opened(tmp_path / str(number))
        version = load_bundle(slots.start(None)).manifest.version
        assert version in (11, 12)
        assert bool(slots.record.failed) == (version == 11)
        assert slots.record.confirmed == {NAME: 12}

    assert every_cut(scenario, reopened) >= 12


def test_before_the_first_switch_there_is_nothing_before(maker, tmp_path):
    slots = Slots(tmp_path, lambda path: Identity("n", 1, "0"), "1.0")
    assert slots.before() == []
    slots.go_back(None, "asked")
    assert slots.record.failed == ()
