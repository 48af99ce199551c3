"""Commands to a gateway, ``.../cmd/<verb>``, and their answers (see docs/messages.md).

Unknown fields and verbs are errors: a command that is only half understood is not carried out.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from emtc_contract.errors import MessageError

MAX_COMMAND_BYTES = 16 * 1024
Text = Annotated[str, Meta(min_length=1, max_length=200)]


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a command may say."""


class Ping(Command, frozen=True):
    """Is anybody there?"""


class Status(Command, frozen=True):
    """The health message, now; and the rules in force."""


class Learn(Command, frozen=True):
    """Learn what is usual at this site, from its traffic of the next while.

    Attributes:
        seconds: How long; 0 ends a run without a result.
        trusted: The site is known to be benign: also take in what looks unusual so far ...
        accepted: ... and of what looks like an attack, these families.
        forget: Drop what was learned.
    """

    seconds: Annotated[float, Meta(ge=0, le=30 * 86_400)] = 86_400.0
    trusted: bool = False
    accepted: Annotated[tuple[Text, ...], Meta(max_length=8)] = ()
    forget: bool = False


class Ack(Command, frozen=True):
    """Somebody knows of an incident.

    Attributes:
        id: Of the incident.
        verdict: ``seen``: no more updates unless it gets worse; ``expected``: also hide further ones like it.
        days: How long further ones are hidden.
        why: For people.
    """

    id: Annotated[str, Meta(min_length=26, max_length=26)]
    verdict: Literal["seen", "expected"] = "seen"
    days: Annotated[float, Meta(gt=0, le=365)] = 30.0
    why: Annotated[str, Meta(max_length=200)] = ""


class Suppress(Command, frozen=True):
    """Hide incidents for a while; or show them again.

    Attributes:
        endpoint: Id, address or MAC of a device.
        family: Family they look like.
        peer: A remote they involve.
        hours: For how long.
        why: For people.
        remove: Id of a rule to end instead.
    """

    endpoint: Text | None = None
    family: Text | None = None
    peer: Text | None = None
    hours: Annotated[float, Meta(gt=0, le=365 * 24)] = 24.0
    why: Annotated[str, Meta(max_length=200)] = ""
    remove: Text | None = None


class Update(Command, frozen=True):
    """About the model.

    Attributes:
        action: ``status`` of updates; ``rollback`` to the model before; ``retry`` an announcement that failed.
    """

    action: Literal["status", "rollback", "retry"] = "status"


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of a command: ``result``, or ``error``."""

    ok: bool
    result: dict[str, Any] | None = None
    error: str | None = None


COMMANDS: dict[str, type[Command]] = {
    "ping": Ping,
    "status": Status,
    "learn": Learn,
    "ack": Ack,
    "suppress": Suppress,
    "update": Update,
}


def decode_command(verb: str, payload: bytes) -> Command:
    """Parse a command; an empty payload is all defaults. Raises MessageError that says what is wrong."""
    kind = COMMANDS.get(verb)
    if kind is None:
        raise MessageError(f"no such command: {verb[:40]!r}; there are {', '.join(COMMANDS)}")
    if len(payload) > MAX_COMMAND_BYTES:
        raise MessageError(f"{verb}: payload of {len(payload)} bytes is too large")
    try:
        return msgspec.json.decode(payload or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"{verb}: {error}") from None


def encode_answer(answer: Answer) -> bytes:
    """JSON of an answer."""
    return msgspec.json.encode(answer)
