"""One thread for slow work, with a bounded queue; it starts with the first job and sleeps when there is none."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from emtc_contract.errors import EmtcError

Job = Callable[[], None]
_MAX_WAITING = 16
log = logging.getLogger(__name__)


class Worker:
    """Does jobs one after the other, and a long task in steps while there are none.

    Args:
        name: Of the thread.
        step: The next step of the long task; returns whether to go on with it at once.
        trouble: Told of every failure of a job or a step.
    """

    def __init__(self, name: str, step: Callable[[], bool], trouble: Callable[[str], None]) -> None:
        self._name = name
        self._step = step
        self._trouble = trouble
        self._jobs: queue.Queue[Job | None] = queue.Queue(_MAX_WAITING)
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()
        self._thread: threading.Thread | None = None

    def submit(self, job: Job | None) -> bool:
        """Hand in a job; returns False if too many are waiting."""
        with self._lock:
            try:
                self._jobs.put_nowait(job)
            except queue.Full:
                return False
            self._idle.clear()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        return True

    def is_alive(self) -> bool:
        """Whether it does what is handed in: False after a defect in the program."""
        return self._thread is None or self._thread.is_alive()

    def has_jobs(self) -> bool:
        """Whether jobs are waiting."""
        return not self._jobs.empty()

    def settle(self, timeout_s: float) -> bool:
        """Wait until there is nothing to do; returns whether that came to be."""
        return self._idle.wait(timeout_s)

    def close(self, timeout_s: float) -> bool:
        """End the thread after the job it is at; returns whether it ended in time.

        A thread that hangs in a connection does not hold up the end of the process.
        """
        while self._thread is not None and not self.submit(None):
            self._drop_one()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _drop_one(self) -> None:
        try:
            self._jobs.get_nowait()
        except queue.Empty:
            return

    def _run(self) -> None:
        more = False
        while True:
            job = self._next(wait=not more)
            if job is None:
                return
            more = self._do(job)

    def _next(self, *, wait: bool) -> Job | Callable[[], bool] | None:
        """A job, None to end; without any, the long task's next step."""
        with self._lock:
            if self._jobs.empty():
                if not wait:
                    return self._step
                self._idle.set()
        return self._jobs.get()

    def _do(self, job: Job | Callable[[], bool]) -> bool:
        """Returns whether the long task may have more to do."""
        try:
            return job() is not False
        except (EmtcError, OSError) as error:
            log.warning("model update: %s", error)
            self._trouble(str(error))
            return job is not self._step
