"""The thread for slow work: in order, bounded, and not ended by what goes wrong."""

import threading

from emtc_agent.updates.worker import Worker
from emtc_contract.errors import InputError

WAIT_S = 5.0


def test_jobs_come_before_further_steps_and_trouble_ends_neither():
    done, troubles, steps = [], [], iter([True, True, False])

    def step():
        done.append("step")
        if not (more := next(steps)):
            raise OSError(28, "No space left on device")
        return more

    def bad():
        raise InputError("bad job")

    worker = Worker("w", step, troubles.append)
    gate = threading.Event()
    worker.submit(lambda: (gate.wait(WAIT_S), done.append("first"))[1])
    worker.submit(bad)
    worker.submit(lambda: done.append("second"))
    assert worker.has_jobs()
    gate.set()
    assert worker.settle(WAIT_S)
    assert done == ["first", "second", "step", "step", "step"]
    assert troubles == ["bad job", "[Errno 28] No space left on device"]
    assert worker.close(WAIT_S)


def test_too_many_jobs_are_refused_and_closing_does_not_wait_for_them():
    worker = Worker("w", lambda: False, print)
    gate, begun, done = threading.Event(), threading.Event(), []
    worker.submit(lambda: (begun.set(), gate.wait(WAIT_S))[0])
    assert begun.wait(WAIT_S)
    taken = [worker.submit(lambda: done.append(1)) for _ in range(100)]
    assert 0 < sum(taken) < 64
    assert worker.is_alive()
    assert not worker.settle(0.0)
    assert not worker.close(0.01), "it is at a job"
    gate.set()
    assert worker.close(WAIT_S)
    assert len(done) < sum(taken)


def test_one_that_never_worked_has_nothing_to_close():
    worker = Worker("w", lambda: False, print)
    assert worker.settle(0.0)
    assert worker.close(0.0)
