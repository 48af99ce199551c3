"""Notifications reach a real socket, and a broken one harms nobody."""

import logging
import os
import secrets
import socket
import time

import pytest

from emtc_agent.health import Notifier, watchdog_timeout_s


@pytest.fixture(params=["path", "abstract"])
def listener(request, tmp_path):
    """A socket as systemd has it, and the NOTIFY_SOCKET that names it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@emtc-test-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(name.replace("@", "\0", 1))
        channel.settimeout(5)
        yield channel, {"NOTIFY_SOCKET": name}


def test_each_notification_is_one_datagram_of_assignments(listener):
    channel, environ = listener
    notifier = Notifier(environ)
    sent = [notifier.ready(), notifier.status("two\nlines"), notifier.watchdog(), notifier.stopping()]
    assert sent == [True] * 4
    heard = [channel.recv(4096) for _ in sent]
    assert heard == [b"READY=1", b"STATUS=two lines", b"WATCHDOG=1", b"STOPPING=1"]


def test_reloading_carries_the_time_of_the_monotonic_clock(listener):
    channel, environ = listener
    before_us = time.monotonic_ns() // 1_000
    assert Notifier(environ).reloading()
    first, second = channel.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    assert before_us <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1_000


def test_status_is_bounded_and_survives_lone_surrogates(listener):
    channel, environ = listener
    assert Notifier(environ).status("\udcff" + "x" * 10_000)
    assert len(channel.recv(65_536)) < 1_000


@pytest.mark.parametrize(
    "name", ["/nowhere/notify", "@emtc-nobody-listens", "/" + "x" * 300, "vsock:2:1234", "relative"]
)
def test_a_broken_socket_is_logged_once_and_never_raises(caplog, name):
    with caplog.at_level(logging.WARNING):
        notifier = Notifier({"NOTIFY_SOCKET": name})
        assert not any([notifier.ready(), notifier.watchdog(), notifier.status("x"), notifier.stopping()])
    assert len(caplog.records) == 1


def test_a_listener_that_reads_nothing_does_not_hold_the_service_up(tmp_path, monkeypatch):
    monkeypatch.setattr("emtc_agent.health.notify._SEND_TIMEOUT_S", 0.05)
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(name)
        notifier = Notifier({"NOTIFY_SOCKET": name})
        until = time.monotonic() + 10
        while notifier.watchdog():
            assert time.monotonic() < until
        assert channel.recv(100) == b"WATCHDOG=1"


def test_without_systemd_nothing_is_sent_or_said(caplog):
    notifier = Notifier({})
    assert not any([notifier.ready(), notifier.reloading(), notifier.stopping()])
    assert not caplog.records


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid() + 1)}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "me"}, None),
    ],
)
def test_the_watchdog_is_on_only_where_systemd_asks_this_process(environ, expected):
    assert watchdog_timeout_s(environ) == expected
