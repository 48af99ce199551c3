"""``current.json``: which slot is in use and why, in one file that is replaced at once."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from emtc_agent.updates.trial import Expected
from emtc_contract.errors import InputError

Slot = Literal["a", "b"]
MAX_RECORD_BYTES = 64 << 10
_MAX_FAILED = 16
_MAX_NAMES = 16
_MAX_WHY = 300


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bundle: its model's name and version, and its digest."""

    name: str
    version: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


class OnTrial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The trial of the active slot.

    Attributes:
        previous: Slot to go back to; None: the fallback.
        expected: What the model before did.
        passed_s: How long it took so far, over all processes that ended well.
        deaths: Processes that did not.
        running: Whether one began that has not ended well yet.
    """

    previous: Slot | None
    expected: Expected = Expected()
    passed_s: float = 0.0
    deaths: int = 0
    running: bool = True


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bundle that is not tried again by the same release of the agent."""

    sha256: str
    version: int
    why: str
    agent: str


class Testing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A self-test that began, and how often it took the process with it."""

    sha256: str
    deaths: int = 0


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``current.json``.

    Attributes:
        active: Slot in use; None: the fallback.
        slots: What the slots hold; a slot that is not named holds nothing of use.
        trial: Of the active slot, until it is confirmed.
        testing: Of a bundle on its way.
        confirmed: Highest version that ever passed its trial, by model name.
        lost: Digest of a confirmed bundle that was damaged in its slot or left: the one that may come again.
        failed: The latest failures.
    """

    format: Literal[1] = 1
    active: Slot | None = None
    slots: dict[Slot, Identity] = {}
    trial: OnTrial | None = None
    testing: Testing | None = None
    confirmed: Annotated[dict[str, int], msgspec.Meta(max_length=_MAX_NAMES)] = {}
    lost: str = ""
    failed: Annotated[tuple[Failure, ...], msgspec.Meta(max_length=_MAX_FAILED)] = ()

    def in_use(self) -> Identity | None:
        """What the active slot holds."""
        return None if self.active is None else self.slots[self.active]

    def rolled_back(self, why: str, agent: str) -> Record:
        """After a trial that failed."""
        previous = self.trial.previous if self.trial else None
        identity = self.in_use()
        after = self if identity is None else self.with_failure(identity, why, agent)
        held = {slot: one for slot, one in self.slots.items() if slot != self.active}
        return msgspec.structs.replace(after, active=previous if previous in held else None, slots=held, trial=None)

    def gone_back(self, slot: Slot | None, why: str, agent: str) -> Record:
        """After an operator wanted another model than the active one: ``slot``'s, or with None the fallback.

        The one that was left may come again, but only if that is asked for too: as it counts as failed.
        """
        identity = self.in_use()
        if identity is None:
            return self
        was_highest = self.confirmed.get(identity.name) == identity.version
        held = {one: held for one, held in self.slots.items() if one != self.active}
        return msgspec.structs.replace(
            self.with_failure(identity, why, agent),
            active=slot if slot in held else None,
            slots=held,
            trial=None,
            lost=identity.sha256 if was_highest else self.lost,
        )

    def without_active(self) -> Record:
        """After the active slot turned out damaged: what was in use before it, if that is still there."""
        identity = self.in_use()
        held = {slot: one for slot, one in self.slots.items() if slot != self.active}
        lost = identity.sha256 if identity else self.lost
        return msgspec.structs.replace(self, active=next(iter(held), None), slots=held, trial=None, lost=lost)

    def confirm(self) -> Record:
        """After a trial that was passed."""
        identity = self.in_use()
        if identity is None:
            return self
        others = {name: version for name, version in self.confirmed.items() if name != identity.name}
        kept = dict(list(others.items())[-(_MAX_NAMES - 1) :])
        highest = max(identity.version, self.confirmed.get(identity.name, 0))
        return msgspec.structs.replace(self, trial=None, confirmed=kept | {identity.name: highest})

    def with_failure(self, identity: Identity, why: str, agent: str) -> Record:
        """After a bundle turned out unfit."""
        failure = Failure(identity.sha256, identity.version, why[:_MAX_WHY], agent)
        return msgspec.structs.replace(self, testing=None, failed=(*self.failed, failure)[-_MAX_FAILED:])


def decode_record(raw: bytes) -> Record:
    """Parse ``current.json``; raises InputError."""
    try:
        record = msgspec.json.decode(raw, type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(str(error)) from None
    if record.active is not None and record.active not in record.slots:
        raise InputError(f"slot {record.active} is active and holds nothing")
    if record.trial is not None and record.active is None:
        raise InputError("a trial without an active slot")
    return record
