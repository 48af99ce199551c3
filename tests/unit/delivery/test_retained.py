"""What the broker keeps is told when it changes, once, and taken back only if it was told."""

from emtc_agent.delivery.retained import Kept, Retained


def taken(retained, *, minor=False):
    found = []
    while one := retained.take(minor=minor):
        found.append((one[0], one[1].payload))
    return found


def test_news_are_told_once_in_order_and_the_minor_apart():
    retained = Retained()
    assert retained.set("a", Kept(b"1"))
    assert retained.set("b", Kept(b"1", minor=True))
    assert retained.set("c", Kept(b"1"))
    assert not retained.set("a", Kept(b"1"))
    assert retained.set("a", Kept(b"2"))
    assert taken(retained) == [("a", b"2"), ("c", b"1")]
    assert taken(retained, minor=True) == [("b", b"1")]
    assert taken(retained) == taken(retained, minor=True) == []
    retained.tell_again()
    assert taken(retained) == [("a", b"2"), ("c", b"1")]
    retained.tell_again(["b", "unknown"])
    assert taken(retained, minor=True) == [("b", b"1")]


def test_what_was_told_is_taken_back_and_what_was_not_is_forgotten():
    retained = Retained()
    retained.set("told", Kept(b"1"))
    assert taken(retained) == [("told", b"1")]
    assert retained.set("told", Kept(b""))
    assert taken(retained) == [("told", b"")]
    for number in range(1_000):  # a link that is down for long
        retained.set(f"{number}", Kept(b"1"))
        assert not retained.set(f"{number}", Kept(b""))
    assert retained.payloads() == {}
    assert taken(retained) == []
