"""Running checks one after the other; one that hangs or breaks becomes a finding like any other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from emtc_agent.doctor.finding import Finding
from emtc_contract.errors import EmtcError

_Answer = TypeVar("_Answer")
CHECK_TIMEOUT_S = 40.0
"""Checks have shorter time-outs of their own; this is for a disk or a driver that never answers."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something to find out.

    Attributes:
        name: Stands for it if it cannot be found out.
        find: Finds out; may raise ``EmtcError`` or ``OSError``.
    """

    name: str
    find: Callable[[], list[Finding]]


class NoAnswerError(Exception):
    """A call that did not return in time, or ended in an error that nobody expects."""


def run_checks(checks: Iterable[Check], timeout_s: float = CHECK_TIMEOUT_S) -> Iterator[Finding]:
    """What each check finds, in order, as soon as it is known."""
    for check in checks:
        yield from map(_printable, _findings(check, timeout_s))


def _findings(check: Check, timeout_s: float) -> list[Finding]:
    try:
        return within(timeout_s, check.find)
    except NoAnswerError as error:
        fix = "Run the doctor again; if it stays, look into the kernel's log (dmesg) and report it."
        return [Finding(check.name, "problem", f"cannot be checked: {error}", fix)]
    except (EmtcError, OSError) as error:
        return [Finding(check.name, "problem", f"cannot be checked: {error}", "Repair what the message names.")]


def _printable(finding: Finding) -> Finding:
    """Nothing that a file or a broker says may steer a terminal."""

    def clean(text: str) -> str:
        return "".join(one if one.isprintable() else "?" for one in text)

    return Finding(clean(finding.name), finding.level, clean(finding.what), clean(finding.fix))


def within(timeout_s: float, call: Callable[[], _Answer]) -> _Answer:
    """The result of a call that may hang, or its ``EmtcError`` or ``OSError``.

    Raises:
        NoAnswerError: It has not returned; its thread goes on and does not keep the process from ending.
    """
    answers: list[_Answer] = []
    errors: list[EmtcError | OSError] = []

    def work() -> None:
        try:
            answers.append(call())
        except (EmtcError, OSError) as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(timeout_s)
    if errors:
        raise errors[0]
    if not answers:
        raise NoAnswerError(f"no answer within {timeout_s:g} s" if thread.is_alive() else "the check itself failed")
    return answers[0]
