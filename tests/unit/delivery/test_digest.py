"""Incidents in numbers, once an hour, for a link whose budget runs out."""

import msgspec

from emtc_agent.delivery.digest import DigestMaker
from emtc_contract.messages import Digest, Family, decode, encode
from samples import ALERT

WALL_US = 1_767_225_600_000_000  # 2026-01-01
HOUR_S = 3_600.0


def alert(state="new", severity=4, family="recon"):
    family = Family(name=family, confidence=1.0)
    return msgspec.structs.replace(ALERT, state=state, severity_id=severity, family=family)


def test_an_hour_in_numbers():
    maker = DigestMaker("b1", 100.0, WALL_US)
    maker.note([alert(), alert(severity=5, family="flood"), alert("update"), alert("update")])
    maker.note([alert(severity=4, family="flood"), alert("end")])
    assert maker.due(100.0 + HOUR_S - 1, WALL_US, 7) is None
    digest = maker.due(100.0 + HOUR_S, WALL_US + 3_600_000_000, 7)
    assert decode(encode(digest), Digest) == Digest(
        ts="2026-01-01T01:00:00.000Z",
        boot="b1",
        since="2026-01-01T00:00:00.000Z",
        opened=3,
        ended=1,
        by_severity={"4": 2, "5": 1},
        by_family={"recon": 1, "flood": 2},
        waiting=7,
    )


def test_each_hour_begins_at_nothing_and_a_quiet_one_is_not_told():
    maker = DigestMaker("b1", 0.0, WALL_US)
    maker.note([alert()])
    assert maker.due(HOUR_S, WALL_US, 0).opened == 1
    assert maker.due(2 * HOUR_S, WALL_US, 0) is None
    maker.note([alert("end")])
    assert maker.due(2 * HOUR_S + 1, WALL_US, 0) is None, "the quiet hour is over, another has begun"
    digest = maker.due(3 * HOUR_S, WALL_US, 0)
    assert (digest.opened, digest.ended) == (0, 1)


def test_updates_alone_are_nothing_to_tell():
    maker = DigestMaker("b1", 0.0, WALL_US)
    maker.note([alert("update")] * 9)
    assert maker.due(HOUR_S, WALL_US, 3) is None
