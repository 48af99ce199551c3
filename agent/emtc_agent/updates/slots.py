"""Two slots for bundles on disk, one of them in use; whatever happens when, one that works is found again.

The active slot is never written to. A new bundle goes into the other one; then one replacement of ``current.json``
makes it the active one, on trial. A slot counts only while it holds the very bundle that ``current.json`` says.
See docs/decisions/017-model-updates.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from emtc_agent.detector.signature import SUFFIX
from emtc_agent.durable import sync_folder, write_durably
from emtc_agent.updates.record import MAX_RECORD_BYTES, Identity, OnTrial, Record, Slot, Testing, decode_record
from emtc_agent.updates.trial import Expected
from emtc_contract.errors import EmtcError, InputError

_SLOTS: tuple[Slot, Slot] = ("a", "b")
_MAX_TEST_DEATHS = 2
log = logging.getLogger(__name__)


class Slots:
    """The slots in a folder.

    Args:
        folder: Where; made when missing.
        identify: Checks a bundle in a slot and says what it is, or raises EmtcError.
        agent: Release of this program: what failed in another one may be tried again.
        max_deaths: How often the process may die during one trial.

    Attributes:
        record: What is so; replaced as a whole.

    Raises:
        OSError: As the system says; any method may, and nothing has changed then.
    """

    def __init__(self, folder: Path, identify: Callable[[Path], Identity], agent: str, max_deaths: int = 2) -> None:
        self._folder = folder
        self._identify = identify
        self._agent = agent
        self._max_deaths = max_deaths
        self._file = folder / "current.json"
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        self.record = self._read()

    def path(self) -> Path | None:
        """The bundle in use; None: the fallback."""
        return None if self.record.active is None else self._bundle(self.record.active)

    def start(self, shipped: Identity | None) -> Path | None:
        """A process begins: the bundle to use, after going back as far as necessary; None: the fallback.

        Args:
            shipped: What the fallback is; one that is newer than the slots came with a new release, and is used.
        """
        self._count_death()
        while self.record.active is not None:
            identity = self.record.slots[self.record.active]
            if shipped and shipped.name == identity.name and shipped.version > identity.version:
                log.info("the fallback, %s, is newer than %s", shipped, identity)
                self._write(msgspec.structs.replace(self.record, active=None, trial=None))
                break
            why = self._unusable(self.record.active)
            if not why:
                break
            self.give_up(why)
        return self.path()

    def stop(self, passed_s: float) -> None:
        """The process ends in an orderly way, ``passed_s`` seconds into the trial, if there is one."""
        if self.record.trial is not None:
            trial = msgspec.structs.replace(self.record.trial, running=False, passed_s=passed_s)
            self._write(msgspec.structs.replace(self.record, trial=trial))

    def switch(self, bundle: Path, identity: Identity, expected: Expected) -> Path:
        """Move a tested bundle and its signature into the other slot and make that the active one, on trial."""
        slot: Slot = "b" if self.record.active == "a" else "a"
        target = self._bundle(slot)
        bundle.with_name(bundle.name + SUFFIX).replace(target.with_name(target.name + SUFFIX))
        bundle.replace(target)
        sync_folder(self._folder)
        held = self.record.slots | {slot: identity}
        trial = OnTrial(previous=self.record.active, expected=expected)
        self._write(msgspec.structs.replace(self.record, active=slot, slots=held, trial=trial, testing=None))
        return target

    def confirm(self) -> None:
        """The model on trial stays."""
        self._write(self.record.confirm())

    def give_up(self, why: str) -> None:
        """Leave the active slot: after a trial for what was before; else, as it is damaged, for what is left."""
        on_trial = self.record.trial is not None
        log.warning("slot %s, %s: %s", self.record.active, self.record.in_use(), why)
        self._write(self.record.rolled_back(why, self._agent) if on_trial else self.record.without_active())

    def before(self) -> list[Slot | None]:
        """What was in use before the active slot, likeliest first; None: the fallback. Empty if that is in use."""
        active, trial = self.record.active, self.record.trial
        if active is None:
            return []
        others = [trial.previous] if trial is not None else [slot for slot in self.record.slots if slot != active]
        return [*(slot for slot in others if slot in self.record.slots), None]

    def usable(self, slot: Slot) -> Path:
        """The bundle in a slot; raises InputError if it is not what it should be."""
        why = self._unusable(slot)
        if why:
            raise InputError(f"slot {slot}: {why}")
        return self._bundle(slot)

    def go_back(self, slot: Slot | None, why: str) -> None:
        """Leave the active slot, good as it may be, for one of ``before``."""
        log.warning("slot %s, %s: %s", self.record.active, self.record.in_use(), why)
        self._write(self.record.gone_back(slot, why, self._agent))

    def forget_failures(self) -> None:
        """What turned out unfit may be tried again."""
        if self.record.failed:
            self._write(msgspec.structs.replace(self.record, failed=()))

    def begin_test(self, identity: Identity) -> bool:
        """Whether a bundle may be tested: not if tests of it took the process with them before."""
        before = self.record.testing
        deaths = before.deaths + 1 if before is not None and before.sha256 == identity.sha256 else 0
        if deaths > _MAX_TEST_DEATHS:
            self.fail(identity, f"the process ended {deaths} times while testing it")
            return False
        self._write(msgspec.structs.replace(self.record, testing=Testing(identity.sha256, deaths)))
        return True

    def end_test(self) -> None:
        """The process outlived the test."""
        self._write(msgspec.structs.replace(self.record, testing=None))

    def fail(self, identity: Identity, why: str) -> None:
        """A bundle is unfit, and not to be tried again."""
        self._write(self.record.with_failure(identity, why, self._agent))

    def has_failed(self, sha256: str) -> bool:
        """Whether a bundle turned out unfit in this release."""
        return any(one.sha256 == sha256 and one.agent == self._agent for one in self.record.failed)

    def _count_death(self) -> None:
        trial = self.record.trial
        if trial is None:
            return
        deaths = trial.deaths + trial.running
        if deaths > self._max_deaths:
            self.give_up(f"the process ended {deaths} times during its trial")
        else:
            trial = msgspec.structs.replace(trial, deaths=deaths, running=True)
            self._write(msgspec.structs.replace(self.record, trial=trial))

    def _unusable(self, slot: Slot) -> str:
        """Why a slot cannot be used; empty if it can."""
        try:
            found = self._identify(self._bundle(slot))
        except EmtcError as error:
            return str(error)
        expected = self.record.slots[slot]
        return "" if found == expected else f"holds {found}, another than {expected}"

    def _bundle(self, slot: Slot) -> Path:
        return self._folder / f"{slot}.bundle"

    def _read(self) -> Record:
        try:
            with self._file.open("rb") as file:
                return decode_record(file.read(MAX_RECORD_BYTES))
        except FileNotFoundError:
            return Record()
        except InputError as error:
            log.warning("%s: %s; judging by what the slots hold", self._file, error)
            return self._rebuilt()

    def _rebuilt(self) -> Record:
        """The newest bundle that can be used, on trial once more: nobody knows whether it passed."""
        held: dict[Slot, Identity] = {}
        for slot in _SLOTS:
            try:
                held[slot] = self._identify(self._bundle(slot))
            except EmtcError as error:
                log.warning("slot %s: %s", slot, error)
        if not held:
            return Record()
        newest = max(held, key=lambda slot: held[slot].version)
        previous = next((slot for slot in held if slot != newest), None)
        confirmed = {held[previous].name: held[previous].version} if previous else {}
        trial = OnTrial(previous=previous, running=False)
        return Record(active=newest, slots=held, trial=trial, confirmed=confirmed)

    def _write(self, record: Record) -> None:
        write_durably(self._file, msgspec.json.encode(record))
        self.record = record
