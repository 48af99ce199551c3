"""No check keeps the doctor from its report."""

import threading

import pytest

from emtc_agent.doctor import Check, Finding, run_checks, worst
from emtc_agent.doctor.running import NoAnswerError, within
from emtc_contract.errors import InputError

GOOD = Finding("good", "ok", "is good")


def raising(error):
    def find():
        raise error

    return find


def test_findings_come_in_order_and_what_cannot_be_checked_says_why(monkeypatch):
    unexpected = []
    monkeypatch.setattr(threading, "excepthook", unexpected.append)
    never = threading.Event()
    checks = [
        Check("first", lambda: [GOOD, GOOD]),
        Check("hangs", lambda: [GOOD] if never.wait() else []),
        Check("input", raising(InputError("file: no"))),
        Check("system", raising(PermissionError(13, "Permission denied"))),
        Check("bug", raising(KeyError("x"))),
        Check("last", lambda: [GOOD]),
    ]
    findings = list(run_checks(checks, timeout_s=0.2))
    never.set()
    assert [one.name for one in findings] == ["good", "good", "hangs", "input", "system", "bug", "good"]
    assert [one.what for one in findings[2:6]] == [
        "cannot be checked: no answer within 0.2 s",
        "cannot be checked: file: no",
        "cannot be checked: [Errno 13] Permission denied",
        "cannot be checked: the check itself failed",
    ]
    assert all(one.fix for one in findings)
    assert [one.exc_type for one in unexpected] == [KeyError]


def test_what_a_file_or_a_broker_says_cannot_steer_a_terminal():
    (found,) = run_checks([Check("x", lambda: [Finding("a\x1b[2J", "ok", "b\nc\udcff", "d\r")])])
    assert (found.name, found.what, found.fix) == ("a?[2J", "b?c?", "d?")


def test_a_call_gives_its_value_or_its_error():
    assert within(5, lambda: 7) == 7
    assert within(5, lambda: None) is None
    with pytest.raises(InputError, match="no"):
        within(5, raising(InputError("no")))
    with pytest.raises(NoAnswerError):
        within(0.01, threading.Event().wait)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [([], "ok"), (["ok"], "ok"), (["ok", "problem", "warning"], "problem"), (["warning"], "warning")],
)
def test_the_worst_counts(levels, expected):
    assert worst(Finding("x", level, "y") for level in levels) == expected
