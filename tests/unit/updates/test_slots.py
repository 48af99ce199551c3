"""Two slots: whatever breaks when, a bundle that works is found, and a bad one is left and not taken again."""

import shutil

import msgspec
import pytest

from emtc_agent.detector import load_bundle
from emtc_agent.updates.record import Identity, decode_record
from emtc_agent.updates.slots import Slots
from emtc_agent.updates.trial import Expected
from emtc_agent.updates.updater import _identity
from emtc_contract.errors import InputError
from model_updates import NAME
from power_cuts import every_cut

AGENT = "1.0"


@pytest.fixture
def site(maker, tmp_path):
    """A function that opens the slots of a folder as a new process would."""

    def opened(folder=tmp_path / "models", agent=AGENT):
        return Slots(folder, lambda path: _identity(path, [maker.public]), agent)

    return opened


def install(slots, maker, version, folder):
    """Switch to a version, as if it had been downloaded."""
    bundle = maker.small_bundle(version)
    came = folder / "incoming.bundle"
    shutil.copy(bundle, came)
    shutil.copy(f"{bundle}.minisig", f"{came}.minisig")
    return slots.switch(came, _identity(bundle, [maker.public]), Expected())


def version_in(path):
    return None if path is None else load_bundle(path).manifest.version


def updated(site, maker, tmp_path, *versions):
    """Slots with these versions confirmed one after the other."""
    slots = site()
    for version in versions:
        install(slots, maker, version, tmp_path)
        slots.confirm()
    return slots


def test_versions_alternate_between_two_slots_and_the_active_one_is_never_written_to(site, maker, tmp_path):
    slots = site()
    assert slots.start(None) is None
    paths = []
    for version in (11, 12, 13):
        before = slots.path() and slots.path().read_bytes()
        path = install(slots, maker, version, tmp_path)
        assert not paths or paths[-1].read_bytes() == before
        paths.append(path)
        slots.confirm()
        assert version_in(site().start(None)) == version
    assert [path.name for path in paths] == ["a.bundle", "b.bundle", "a.bundle"]
    names = sorted(path.name for path in (tmp_path / "models").iterdir())
    assert names == ["a.bundle", "a.bundle.minisig", "b.bundle", "b.bundle.minisig", "current.json"]
    assert slots.record.confirmed == {NAME: 13}


@pytest.mark.parametrize("before", [(), (10, 11)])
def test_a_power_cut_at_any_operation_leaves_the_old_or_the_new_bundle(site, maker, tmp_path, before):
    """Also each further update goes well after it."""
    template, first = tmp_path / "models", before[-1] if before else None
    updated(site, maker, tmp_path, *before)

    def scenario(number):
        folder = tmp_path / str(number)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(template, folder)
        slots = site(folder)
        slots.start(None)
        install(slots, maker, 12, tmp_path)
        slots.stop(5.0)

    def reopened(number):
        folder = tmp_path / str(number)
        slots = site(folder)
        found = version_in(slots.start(None))
        assert found in (first, 12)
        assert (slots.record.trial is not None) == (found == 12), "what is new is on trial"
        assert not slots.record.failed, "the cut says nothing about the bundle"
        slots.give_up("a test") if found == 12 else None
        assert version_in(slots.path()) == first
        install(slots, maker, 13, tmp_path)
        slots.confirm()
        assert version_in(site(folder).start(None)) == 13

    assert every_cut(scenario, reopened) >= 36


def test_a_power_cut_while_confirming_or_going_back_leaves_one_or_the_other(site, maker, tmp_path):
    updated(site, maker, tmp_path, 11)
    template = tmp_path / "models"
    install(site(template), maker, 12, tmp_path)
    for act, allowed in ((Slots.confirm, {12}), (lambda slots: slots.give_up("slow"), {11, 12})):

        def scenario(number, act=act):
            folder = tmp_path / str(number)
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(template, folder)
            act(site(folder))

        def reopened(number, allowed=allowed):
            assert version_in(site(tmp_path / str(number)).start(None)) in allowed

        assert every_cut(scenario, reopened) >= 12


def test_dying_more_than_twice_during_a_trial_goes_back_for_good(site, maker, tmp_path):
    updated(site, maker, tmp_path, 11)
    install(site(), maker, 12, tmp_path)
    assert [version_in(site().start(None)) for _ in range(4)] == [12, 12, 11, 11]
    slots = site()
    bad = _identity(maker.small_bundle(12), [maker.public])
    assert slots.has_failed(bad.sha256)
    assert "ended 3 times during its trial" in slots.record.failed[0].why
    assert not site(agent="1.1").has_failed(bad.sha256), "another release of the agent may try again"


def test_orderly_stops_are_no_deaths_and_the_trial_goes_on(site, maker, tmp_path):
    install(site(), maker, 12, tmp_path)
    for passed_s in range(5):
        slots = site()
        assert version_in(slots.start(None)) == 12
        slots.stop(float(passed_s))
    assert site().record.trial.passed_s == 4.0
    assert site().record.trial.deaths == 1, "the process that switched was never stopped"


def test_a_first_model_that_fails_leaves_the_fallback(site, maker, tmp_path):
    slots = site()
    install(slots, maker, 12, tmp_path)
    slots.give_up("slow")
    assert slots.path() is None
    assert site().start(None) is None
    assert slots.record.failed[0].version == 12
    assert slots.record.confirmed == {}


def test_a_damaged_slot_gives_way_to_the_other_one_and_then_to_the_fallback(site, maker, tmp_path):
    slots = updated(site, maker, tmp_path, 11, 12)
    slots.path().write_bytes(slots.path().read_bytes()[:-1])
    slots = site()
    assert version_in(slots.start(None)) == 11
    assert slots.record.lost == _identity(maker.small_bundle(12), [maker.public]).sha256
    assert slots.record.confirmed == {NAME: 12}, "an older one must not come back all the same"
    slots.path().unlink()
    slots = site()
    assert slots.start(None) is None
    assert not slots.record.failed


def test_a_slot_that_holds_another_genuine_bundle_is_not_used(site, maker, tmp_path):
    slots = updated(site, maker, tmp_path, 12)
    for suffix in ("", ".minisig"):
        shutil.copy(f"{maker.small_bundle(11)}{suffix}", f"{slots.path()}{suffix}")
    assert site().start(None) is None


def test_a_newer_fallback_comes_before_the_slots(site, maker, tmp_path):
    slots = updated(site, maker, tmp_path, 12)
    assert version_in(slots.start(Identity(NAME, 12, "0"))) == 12
    assert version_in(slots.start(Identity("another", 99, "0"))) == 12
    assert slots.start(Identity(NAME, 13, "0")) is None
    assert slots.record.confirmed == {NAME: 12}


@pytest.mark.parametrize(
    "content",
    [b"", b"junk", b"[" * 9_999, b"\xff", b'{"format":2}', b'{"active":"a"}', b'{"trial":{"previous":"b"}}'],
)
def test_a_damaged_record_is_rebuilt_from_what_the_slots_hold(site, maker, tmp_path, content):
    slots = updated(site, maker, tmp_path, 11, 12)
    record = tmp_path / "models" / "current.json"
    record.write_bytes(content)
    slots = site()
    assert version_in(slots.start(None)) == 12
    assert slots.record.trial is not None, "nobody knows whether it passed"
    slots.give_up("slow")
    assert version_in(slots.path()) == 11
    assert slots.record.confirmed == {NAME: 11}
    for slot in "ab":
        (tmp_path / "models" / f"{slot}.bundle").write_bytes(b"junk")
    record.write_bytes(content)
    assert site().start(None) is None


def test_a_test_that_takes_the_process_with_it_is_not_repeated_forever(site, maker):
    identity = _identity(maker.small_bundle(12), [maker.public])
    assert [site().begin_test(identity) for _ in range(4)] == [True, True, True, False]
    assert site().has_failed(identity.sha256)
    other = _identity(maker.small_bundle(13), [maker.public])
    assert site().begin_test(other)
    site().end_test()
    assert site().begin_test(other)
    assert site().record.testing.deaths == 0


def test_the_record_stays_small(site, maker):
    slots = site()
    for number in range(40):
        slots.fail(Identity("n" * 128, number, f"{number:064x}"), "w" * 9_999)
    assert len(slots.record.failed) == 16
    assert slots.record.failed[-1].version == 39
    assert len(msgspec.json.encode(slots.record)) < 16_000
    assert decode_record(msgspec.json.encode(slots.record)) == slots.record
    with pytest.raises(InputError):
        decode_record(b'{"unknown":1}')
