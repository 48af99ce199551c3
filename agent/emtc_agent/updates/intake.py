"""From an announcement to a tested bundle in a slot, and back out of it: what the thread for slow work does.

Only that thread calls the methods; other threads read ``wanted``, ``progress`` and ``ready``, which are replaced as a
whole.
"""

from __future__ import annotations

import logging
import queue
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from emtc_agent.detector import Bundle, Runtime, load_bundle
from emtc_agent.detector.signature import require_signature, require_signed
from emtc_agent.updates import incoming
from emtc_agent.updates.check import Choice, Loaded, self_test
from emtc_agent.updates.config import UpdateConfig
from emtc_agent.updates.fetch import Fetch
from emtc_agent.updates.policy import Held, is_in_use, require_wanted
from emtc_agent.updates.record import Identity, Slot
from emtc_agent.updates.slots import Slots
from emtc_agent.updates.trial import Expected
from emtc_contract.errors import BundleError, EmtcError, InputError, SchemaError
from emtc_contract.schema import FeatureSchema
from emtc_contract.updates import Announcement, decode_announcement, decode_offer

NOTHING_BEFORE = "there is no model to go back to"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Switch:
    """A model to go over to between two batches.

    Attributes:
        path: Its bundle.
        bundle: That bundle, loaded and checked.
        runtime: Its model, loaded and warm.
        kind: Forward or back.
        why: What was wrong with the model before, if back.
    """

    path: Path
    bundle: Bundle
    runtime: Runtime
    kind: Literal["update", "roll back"]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """What is going on.

    Attributes:
        phase: In one word or two.
        sha8: Of the bundle on its way, "" without one.
        version: Of that bundle.
        have_bytes, size_bytes: How much of it is there.
    """

    phase: Literal["idle", "downloading", "waiting for chunks", "waiting to retry", "testing"] = "idle"
    sha8: str = ""
    version: int = 0
    have_bytes: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Site:
    """What does not change while the process runs.

    Attributes:
        folder: Holds slots and what is on its way.
        fallback: Bundle to use where no slot can be.
        fallback_keys: Keys that must vouch for it; none for one that came with the program.
        keys: Keys that must vouch for everything else.
        how: The runtime that will be used.
        schema: The features this agent extracts.
        config: Settings.
        clock: Monotonic seconds.
    """

    folder: Path
    fallback: Path
    fallback_keys: Sequence[Path]
    keys: Sequence[Path]
    how: Choice
    schema: FeatureSchema
    config: UpdateConfig
    clock: Callable[[], float]


class Intake:
    """Takes announcements, gets and tests bundles, moves between slots.

    Args:
        site: Where and how.
        slots: The slots.
        shipped: What the fallback is.
        expected: What the model in use does, for the trial of its successor.
        hurry: Says whether jobs are waiting.

    Attributes:
        ready: Switches for the main loop.
        wanted: Chunks to ask the broker for.
        progress: What is going on.
        announced: The latest announcement that was signed well, taken or not.
        counters: What happened so far.
        stopping: Set by the main thread when nothing new is to be begun.
    """

    def __init__(
        self,
        site: Site,
        slots: Slots,
        shipped: Identity | None,
        expected: Callable[[], Expected],
        hurry: Callable[[], bool],
    ) -> None:
        self.ready: queue.SimpleQueue[Switch] = queue.SimpleQueue()
        self.wanted: tuple[str, ...] = ()
        self.progress = Progress()
        self.announced: Announcement | None = None
        self.counters: Counter[str] = Counter()
        self.stopping = False
        self._site = site
        self._slots = slots
        self._shipped = shipped
        self._expected = expected
        self._hurry = hurry
        self._fetch: Fetch | None = None
        self._postponed: Announcement | None = None
        self._given_up: Announcement | None = None

    def offered(self, payload: bytes) -> None:
        """An announcement arrived; raises EmtcError that says why it is not taken."""
        try:
            offer = decode_offer(payload)
            text = offer.announcement.encode()
            require_signed(text, offer.signature.encode(), self._site.keys, "the announcement")
            self.announced = decode_announcement(text)
            self._consider(self.announced)
        except EmtcError:
            self.counters["refused"] += 1
            raise

    def chunk(self, sha8: str, number: int, piece: bytes) -> None:
        """A chunk arrived; raises MessageError if it does not fit."""
        fetch = self._fetch
        if fetch is None or fetch.announcement.sha8 != sha8:
            self.counters["chunks ignored"] += 1
            return
        new = fetch.put(number, piece)
        self.counters["chunks" if new else "chunks repeated"] += 1
        self._tell()

    def step(self) -> bool:
        """Go on with what is on its way; returns whether there is more to do at once."""
        fetch = self._fetch
        if fetch is None or self.stopping:
            return False
        try:
            path, more = fetch.step()
            if path is not None:
                self._arrived(fetch, path)
        except (EmtcError, OSError) as error:
            self._failed(fetch, error)
            raise
        finally:
            self._tell()
        return more

    def retry(self) -> None:
        """Go on after a pause, if it is over."""
        if self._fetch is not None and self._fetch.is_due(self._site.clock()):
            self._fetch.retry_s = None
            self._tell()

    def is_due(self) -> bool:
        """Whether ``retry`` has something to do; any thread may ask."""
        fetch = self._fetch
        return fetch is not None and fetch.is_due(self._site.clock())

    def confirm(self) -> None:
        """The model on trial passed."""
        if self._slots.record.trial is not None:
            self._slots.confirm()
            self.counters["confirmed"] += 1
            log.info("model update: %s passed its trial", self._slots.record.in_use())
            self._go_on()

    def roll_back(self, why: str) -> None:
        """The model on trial misbehaved: hand the one before it to the main loop."""
        if self._slots.record.trial is None:
            return
        self._slots.give_up(why)
        self.counters["rolled back"] += 1
        path, loaded = self._load_what_is_left()
        self.ready.put(Switch(path, loaded.bundle, loaded.runtime, "roll back", why))
        self._go_on()

    def go_back(self, why: str) -> None:
        """An operator wants the model before, also after its successor's trial; raises EmtcError if there is none."""
        for slot in self._slots.before():
            try:
                path, loaded = self._load_slot(slot)
            except (EmtcError, OSError) as error:
                log.warning("model update: cannot go back to slot %s: %s", slot, error)
                continue
            self._slots.go_back(slot, why)
            self.counters["rolled back"] += 1
            self.ready.put(Switch(path, loaded.bundle, loaded.runtime, "roll back", why))
            self._go_on()
            return
        raise InputError(NOTHING_BEFORE)

    def look_again(self) -> None:
        """Take what was announced, also if it failed here before; raises EmtcError that says why it is not taken."""
        self._slots.forget_failures()
        self._given_up = None
        if self._fetch is not None:
            self._fetch.retry_s = None
            self._tell()
        if self.announced is not None:
            self._consider(self.announced)

    def close(self) -> None:
        """Hang up."""
        if self._fetch is not None:
            self._fetch.close()

    def _consider(self, one: Announcement) -> None:
        """Begin to fetch what was announced, unless that is done, under way, or known to be in vain."""
        record = self._slots.record
        held = Held(record.in_use() or self._shipped, self._shipped, record.confirmed, record.lost)
        if is_in_use(one, held) or self._given_up == one or (self._fetch and self._fetch.announcement == one):
            return
        require_wanted(one, held, self._site.config)
        if self._slots.has_failed(one.sha256):
            raise InputError(f"announced is {one.name} version {one.version}, which failed here before")
        if record.trial is not None:
            self._postponed = one
        elif self._fetch is None or one.version > self._fetch.announcement.version:
            self._begin(one)
        else:
            raise InputError(f"announced is version {one.version} while {self._fetch.announcement.version} is coming")

    def _begin(self, one: Announcement) -> None:
        self._end_fetch()
        try:
            self._fetch = Fetch(self._site.folder, one, self._site.config, self._hurry)
        except InputError:
            incoming.discard(self._site.folder)
            raise
        log.info("model update: getting %s version %d, %d bytes", one.name, one.version, one.size_bytes)
        self._tell()

    def _go_on(self) -> None:
        """After a trial: what was announced meanwhile."""
        postponed, self._postponed = self._postponed, None
        if postponed is not None:
            self._consider(postponed)

    def _arrived(self, fetch: Fetch, path: Path) -> None:
        """Test a complete bundle and switch to it."""
        if self.stopping:
            return
        one = fetch.announcement
        identity = Identity(one.name, one.version, one.sha256)
        self.progress = Progress("testing", one.sha8, one.version, one.size_bytes, one.size_bytes)
        require_signature(path.read_bytes(), path, self._site.keys)
        if not self._slots.begin_test(identity):
            self._abandon(one)
            raise BundleError(f"{identity} ended the process each time it was tested")
        loaded = self._tested(path, identity)
        target = self._slots.switch(path, identity, self._expected())
        incoming.discard(self._site.folder)
        self._end_fetch()
        self.counters["switched"] += 1
        self.ready.put(Switch(target, loaded.bundle, loaded.runtime, "update"))
        log.info("model update: %s passed its test and goes on trial", identity)

    def _tested(self, path: Path, identity: Identity) -> Loaded:
        site = self._site
        try:
            return self_test(path, site.keys, identity.name, identity.version, site.schema, site.how)
        except (BundleError, SchemaError) as error:
            self._unfit(identity, str(error))
            raise
        except (EmtcError, OSError):
            self._slots.end_test()  # nothing is known about the bundle: another attempt later
            raise
        except Exception as error:  # runtimes raise bare exceptions of their own
            log.exception("model update: testing %s", identity)
            self._unfit(identity, f"{type(error).__name__}: {error}")
            raise BundleError(f"{identity} cannot be run: {error}") from None

    def _unfit(self, identity: Identity, why: str) -> None:
        self._slots.fail(identity, why)
        self.counters["failed tests"] += 1
        incoming.discard(self._site.folder)
        self._end_fetch()

    def _failed(self, fetch: Fetch, error: EmtcError | OSError) -> None:
        """Another attempt later, unless the bundle was left already or is not worth it."""
        if self._fetch is fetch and not fetch.failed(error, self._site.clock()):
            self._abandon(fetch.announcement)

    def _abandon(self, one: Announcement) -> None:
        """Leave an announcement for as long as this process runs."""
        log.warning("model update: %s version %d is given up", one.name, one.version)
        self._given_up = one
        incoming.discard(self._site.folder)
        self._end_fetch()

    def _end_fetch(self) -> None:
        if self._fetch is not None:
            self._fetch.close()
        self._fetch = None
        self._tell()

    def _load(self, path: Path, keys: Sequence[Path]) -> tuple[Path, Loaded]:
        bundle = load_bundle(path, keys)
        return path, Loaded(bundle, self._site.how.open(bundle))

    def _load_slot(self, slot: Slot | None) -> tuple[Path, Loaded]:
        """A slot's bundle and its model; with None the fallback's."""
        return self._load_fallback() if slot is None else self._load(self._slots.usable(slot), self._site.keys)

    def _load_fallback(self) -> tuple[Path, Loaded]:
        return self._load(self._site.fallback, self._site.fallback_keys)

    def _load_what_is_left(self) -> tuple[Path, Loaded]:
        """The bundle that the slots fall back to, and its model."""
        while (path := self._slots.path()) is not None:
            try:
                return self._load(path, self._site.keys)
            except (BundleError, SchemaError) as error:
                self._slots.give_up(str(error))
        return self._load_fallback()

    def _tell(self) -> None:
        """What other threads may read."""
        fetch = self._fetch
        if fetch is None:
            self.wanted, self.progress = (), Progress()
            return
        one, have_bytes = fetch.announcement, fetch.have_bytes
        self.wanted = fetch.wanted()
        phase: Literal["downloading", "waiting for chunks", "waiting to retry"] = "downloading"
        if fetch.retry_s is not None:
            phase = "waiting to retry"
        elif one.chunks is not None:
            phase = "waiting for chunks"
        self.progress = Progress(phase, one.sha8, one.version, have_bytes, one.size_bytes)
