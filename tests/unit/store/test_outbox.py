"""The outbox: order, expiry, room, coalescing, and what happens to the file it is kept in."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emtc_agent.store import Database, Outbox, OutboxConfig, Outgoing, Records
from emtc_agent.store.database import VERSION
from emtc_contract.errors import InputError

DAY = 86_400


class Clock:
    def __init__(self):
        self.now_s = 1_000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "state.db"


def message(text, severity=3, *, incident="", replaces="", lifetime_s=DAY):
    return Outgoing("t", text.encode(), severity, lifetime_s, incident, replaces)


def texts(outbox, most=100, **options):
    return [one.payload.decode() for one in outbox.next(most, **options)]


def test_the_severe_go_first_and_then_the_old(file, clock):
    outbox = Outbox(Database(file, clock))
    outbox.put([message("a", 2), message("b", 5), message("c", 2), message("d", 3)])
    assert texts(outbox, 2) == ["b", "d"]
    assert texts(outbox) == ["a", "c"]
    assert texts(outbox) == []
    outbox.release()
    assert texts(outbox) == ["b", "d", "a", "c"]
    outbox.release()
    assert texts(outbox, least_severity=3) == ["b", "d"]


def test_what_is_delivered_is_gone_and_the_rest_outlives_a_restart(file, clock):
    outbox = Outbox(Database(file, clock))
    outbox.put([message(text) for text in "abc"])
    first, *_ = outbox.next(3)
    outbox.delivered([first.number])
    again = Outbox(Database(file, clock))
    assert texts(again) == ["b", "c"]
    assert again.size_bytes == 2 * message("b").size_bytes


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5), st.sampled_from(["put", "send", "ack"])), max_size=60)
)
@settings(deadline=None)
def test_an_incident_keeps_its_order_whatever_its_severity(steps):
    outbox = Outbox(Database(None))
    put, sent, flying = {}, {}, []
    for number, (incident, severity, step) in enumerate(steps):
        if step == "put":
            outbox.put([message(f"{incident} {number}", severity, incident=str(incident))])
            put.setdefault(incident, []).append(number)
        elif step == "send":
            flying += outbox.next(severity)
        elif flying:
            outbox.delivered([flying.pop(0).number])
        for one in flying:
            sent[one.number] = one.payload
    flying = outbox.next(1_000)
    sent |= {one.number: one.payload for one in flying}
    # Given in this order over the whole life:
    order = {}
    for _, payload in sorted(sent.items()):
        incident, number = map(int, payload.split())
        order.setdefault(incident, []).append(number)
    assert order == put


def test_an_update_gives_way_to_a_later_one_unless_it_is_being_sent(file, clock):
    outbox = Outbox(Database(file, clock))
    outbox.put([message("new", incident="i"), message("u1", incident="i", replaces="u i")])
    outbox.put([message("u2", incident="i", replaces="u i")])
    assert texts(outbox) == ["new", "u2"]
    outbox.put([message("u3", incident="i", replaces="u i")])
    assert len(outbox) == 3
    assert outbox.coalesced == 1


def test_old_messages_expire_by_running_time_only(file, clock):
    outbox = Outbox(Database(file, clock))
    outbox.put([message("short", lifetime_s=60), message("long")])
    clock.now_s += 50
    outbox.expire()
    later = Clock()
    later.now_s = 5.0  # after a reboot the monotonic clock begins anew
    again = Outbox(Database(file, later))
    assert sorted(texts(again)) == ["long", "short"]
    again.release()
    later.now_s += 11
    again.expire()
    assert texts(again) == ["long"]
    assert again.expired == 1


def test_a_full_outbox_drops_the_least_severe_first_and_counts(file, clock):
    size = message("x" * 100).size_bytes
    outbox = Outbox(Database(file, clock), OutboxConfig(max_bytes=10 * size))
    outbox.put([message(f"{n:0100}", 1 + n % 5) for n in range(100)])
    kept = [int(text) for text in texts(outbox)]
    assert len(kept) == 10
    assert all(n % 5 == 4 for n in kept)
    assert outbox.crowded_out == 90
    assert outbox.size_bytes == 10 * size


def test_of_the_equally_severe_what_can_be_said_again_goes_first(clock):
    size = message("x").size_bytes
    outbox = Outbox(Database(None, clock), OutboxConfig(max_bytes=2 * size))
    outbox.put([message("n", incident="i"), message("u", incident="i", replaces="r"), message("m")])
    assert texts(outbox) == ["n", "m"]


def test_incidents_are_kept_with_their_messages(file, clock):
    database = Database(file, clock)
    outbox = Outbox(database)
    outbox.put([message("a")], {"1": b"one", "2": b"two"})
    outbox.put([message("b")], {"1": None})
    assert database.rows("SELECT id, record FROM incidents") == [("2", b"two")]
    assert Records(database).incidents() == []  # that was no record: it is left out, not an error


def test_a_file_of_a_later_version_is_left_alone(file, clock):
    Database(file, clock).close()
    with sqlite3.connect(file) as connection:
        connection.execute(f"PRAGMA user_version={VERSION + 1}")
    connection.close()
    with pytest.raises(InputError, match="later version"):
        Database(file, clock)


def test_a_folder_that_is_not_there_is_an_error(tmp_path, clock):
    with pytest.raises(InputError, match="is no folder"):
        Database(tmp_path / "none" / "state.db", clock)


def test_a_file_that_is_none_is_put_aside(file, clock):
    file.write_bytes(b"garbage" * 1_000)
    database = Database(file, clock)
    Outbox(database).put([message("a")])
    assert database.damaged == 1
    assert file.with_name("state.db.damaged-1").read_bytes().startswith(b"garbage")
    assert texts(Outbox(Database(file, clock))) == ["a"]


@given(seed=st.integers(0, 1_000))
@settings(max_examples=20, deadline=None)
def test_a_damaged_file_is_replaced_and_keeps_what_can_be_read(tmp_path_factory, seed):
    rng, file = random.Random(seed), tmp_path_factory.mktemp("store") / "state.db"
    outbox = Outbox(Database(file))
    outbox.put([message(f"{n:0300}") for n in range(200)])
    outbox._database.close()
    octets = bytearray(file.read_bytes())
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(octets) - 512)
        octets[at : at + 512] = rng.randbytes(512)
    file.write_bytes(octets)
    again = Outbox(Database(file))
    again.put([message("late")])
    found = texts(again, 1_000)
    assert found[-1] == "late"
    assert all(text == f"{int(text):0300}" for text in found[:-1])
    assert len(set(found)) == len(found)


def test_damage_that_shows_while_running_costs_nothing_that_is_put_afterwards(file, clock):
    database = Database(file, clock)
    outbox = Outbox(database)
    outbox.put([message(f"{n:0300}") for n in range(200)])
    database._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file.open("r+b") as raw:
        raw.write(b"\0" * 8_192)
    database._connection.execute("PRAGMA shrink_memory")
    for number in range(5):
        outbox.put([message(f"after {number}")])
        outbox.expire()
    assert [text for text in texts(outbox, 1_000) if text.startswith("after")] == [f"after {n}" for n in range(5)]


_FILL = """
import sys
import threading
from pathlib import Path
from emtc_agent.store import Database, Outbox, Outgoing
outbox = Outbox(Database(Path(sys.argv[1])))
number = 0
while True:
    outbox.put([Outgoing("t", str(number).encode(), 3, 1e6)], {str(number): b"r"})
    print(number, flush=True)
    number += 1
"""


def test_a_killed_program_has_kept_all_that_it_had_put(file):
    program = subprocess.Popen([sys.executable, "-c", _FILL, file], stdout=subprocess.PIPE)
    for _ in range(300):
        last = int(program.stdout.readline())
    os.kill(program.pid, signal.SIGKILL)
    rest = program.communicate()[0].split()
    last = int(rest[-1]) if rest and rest[-1].isdigit() else last
    database = Database(file)
    kept = {int(text) for text in texts(Outbox(database), 100_000)}
    assert set(range(last + 1)) <= kept
    assert {int(one) for (one,) in database.rows("SELECT id FROM incidents")} == kept


_FULL = """
import subprocess, sys
from pathlib import Path
from emtc_agent.store import Database, Outbox, Outgoing
folder = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
outbox = Outbox(Database(folder / "state.db"))
message = lambda number: Outgoing("t", b"%04d" % number + bytes(2_000), 3, 1e6)
number = lambda one: int(one.payload[:4])
outbox.put(map(message, range(50)))
try:
    (folder / "other").write_bytes(bytes(1 << 20))
except OSError:
    pass  # full, as it should be
last = 50
while outbox.unsaved < 5:
    outbox.put([message(last)])
    last += 1
sent = outbox.next(1_000)
assert [number(one) for one in sent] == list(range(last)), "all can be sent, from the full disk and from memory"
outbox.delivered([one.number for one in sent[:10] + sent[-2:]])
outbox.put([message(last)])
outbox.release()
assert [number(one) for one in outbox.next(1_000)] == [*range(10, last - 2), last]
outbox.release()
(folder / "other").unlink()
outbox.expire()
assert not outbox.unsaved
again = Outbox(Database(folder / "state.db"))
assert [number(one) for one in again.next(1_000)] == [*range(10, last - 2), last]
"""


def test_a_full_disk_loses_nothing(tmp_path):
    if subprocess.run(["unshare", "-Urnm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs mount namespaces")
    done = subprocess.run(
        ["unshare", "-Urnm", sys.executable, "-c", _FULL, tmp_path], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_two_threads_lose_and_double_nothing(file):
    """The main loop puts while the link takes, acknowledges and loses its connection."""
    outbox = Outbox(Database(file))
    seen, putting, order = [], threading.Event(), {}

    def put():
        for number in range(1_500):
            incident = str(number % 7)
            order.setdefault(incident, []).append(number)
            outbox.put([message(f"{incident} {number}", incident=incident)], {incident: b"r"})
            if number % 100 == 0:
                outbox.expire()
        putting.set()

    putter = threading.Thread(target=put)
    putter.start()
    rng = random.Random(1)
    while not putting.is_set() or len(outbox):
        chosen = outbox.next(rng.randrange(1, 20))
        seen += [one.payload.decode() for one in chosen]
        outbox.delivered([one.number for one in chosen])
    putter.join()
    assert len(seen) == len(set(seen)) == 1_500
    for incident, numbers in order.items():
        assert [int(one.split()[1]) for one in seen if one.split()[0] == incident] == numbers


_UNUSABLE = """
import sys, subprocess
from pathlib import Path
from emtc_agent.store import Database, Outbox, Outgoing
folder, clean = Path(sys.argv[1]), sys.argv[2] == "clean"
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
message = lambda number: Outgoing("t", b"%04d" % number + bytes(500), 3, 1e6)
database = Database(folder / "state.db")
Outbox(database).put(map(message, range(20)), {"1": b"r"})
database.close()
if not clean:
    (folder / "state.db").write_bytes(b"garbage" * 5000)
try:
    (folder / "other").write_bytes(bytes(1 << 20))
except OSError:
    pass
again = Database(folder / "state.db")
outbox = Outbox(again)
outbox.put(map(message, range(20, 30)), {"2": b"r"})
late = outbox.next(100)
outbox.delivered([one.number for one in late[:2]])
outbox.release()
(folder / "other").unlink()
outbox.expire()
assert not again.detached and not outbox.unsaved, (again.detached, outbox.unsaved)
kept = Outbox(Database(folder / "state.db"))
numbers = sorted(int(one.payload[:4]) for one in kept.next(100))
sent = {int(one.payload[:4]) for one in late[:2]}
expected = sorted(set(range(0 if clean else 20, 30)) - sent)
assert numbers == expected, (numbers, expected)
"""


@pytest.mark.parametrize("before", ["clean", "damaged"])
def test_a_start_with_a_full_disk_works_in_memory_and_goes_back_to_the_file(tmp_path, before):
    if subprocess.run(["unshare", "-Urnm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs mount namespaces")
    inside = ["unshare", "-Urnm", sys.executable, "-c", _UNUSABLE, tmp_path, before]
    done = subprocess.run(inside, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_a_refused_message_holds_back_its_incident_only(clock):
    outbox = Outbox(Database(None, clock))
    outbox.put([message("a1", incident="a"), message("a2", incident="a"), message("b1", incident="b")])
    (first,) = outbox.next(1)
    outbox.hold(first.number)
    assert texts(outbox) == ["b1"]
    outbox.retry_refused()
    assert texts(outbox) == ["a1", "a2"]
