"""Counting bytes: by days of running time, over restarts, with levels as the budget runs out."""

import logging
import socket

import pytest

from emtc_agent.delivery.traffic import Level, Traffic, carried_bytes
from emtc_agent.store import Database

DAY_S = 86_400.0
LEAST_SEGMENTS = 4  # of a connection that carried something both ways


class Running:
    """A database whose running time is set by the test."""

    def __init__(self, path=None):
        self.now_s = 1_000.0
        self.path = path
        self.open()

    def open(self):
        self.database = Database(self.path, lambda: self.now_s)
        return self.database

    def pass_days(self, days):
        self.now_s += days * DAY_S


@pytest.fixture
def running(tmp_path):
    one = Running(tmp_path / "state.db")
    yield one
    one.database.close()


def test_a_month_is_the_last_thirty_days(running):
    traffic = Traffic(running.database)
    for _ in range(40):
        traffic.add(10)
        running.pass_days(1)
    running.pass_days(-1)
    assert traffic.month_bytes == 300
    assert len(traffic._days) == 30
    running.pass_days(29)
    assert traffic.month_bytes == 10
    running.pass_days(1)
    assert traffic.month_bytes == 0
    traffic.add(1)
    rows = running.database.rows("SELECT count(*) FROM traffic")
    assert rows == [(1,)], "what no longer counts is not kept"


def test_it_counts_on_after_a_restart(running):
    Traffic(running.database).add(700)
    with running.database.transaction() as connection:
        running.database.keep_time(connection)
    running.database.close()
    again = Traffic(running.open())
    again.add(1)
    assert again.month_bytes == 701


@pytest.mark.parametrize(
    ("carried", "level"),
    [
        (0, Level.EVERYTHING),
        (699, Level.EVERYTHING),
        (700, Level.DIGESTS),
        (899, Level.DIGESTS),
        (900, Level.CRITICAL),
        (5_000, Level.CRITICAL),
    ],
)
def test_levels(running, carried, level):
    traffic = Traffic(running.database, 1_000)
    traffic.add(carried)
    assert traffic.level is level
    assert Traffic(running.database, None).level is Level.EVERYTHING


def test_a_budget_of_nothing_is_no_division_by_zero(running):
    traffic = Traffic(running.database, 0)
    traffic.add(1)
    assert traffic.level is Level.CRITICAL


def test_a_counter_that_went_back_takes_nothing_away(running):
    traffic = Traffic(running.database, 1_000)
    traffic.add(500)
    traffic.add(0)
    traffic.add(-400)
    assert traffic.month_bytes == 500


def test_a_disk_that_takes_nothing_costs_the_record_only(running, caplog):
    traffic = Traffic(running.database)
    traffic.add(5)
    with running.database.transaction() as connection:
        connection.execute("CREATE TRIGGER full BEFORE INSERT ON traffic BEGIN SELECT RAISE(ABORT, 'no room'); END")
    with caplog.at_level(logging.WARNING):
        traffic.add(7)
    assert traffic.month_bytes == 12
    assert "cannot be kept now: no room" in caplog.text
    assert running.database.rows("SELECT bytes FROM traffic") == [(5,)]


def test_the_kernel_tells_what_a_connection_carried():
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as one:
            other, _ = server.accept()
            with other:
                one.sendall(bytes(10_000))
                while len(other.recv(65_536, socket.MSG_PEEK)) < 10_000:
                    pass
                other.sendall(bytes(500))
                assert one.recv(500, socket.MSG_WAITALL) == bytes(500)
                for end in (one, other):
                    assert 10_500 + LEAST_SEGMENTS * 52 <= carried_bytes(end) < 12_000
        assert carried_bytes(one) == 0, "closed"


def test_what_is_no_tcp_connection_has_carried_nothing():
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"x")
        assert carried_bytes(one) == 0
