"""Where a connection to a real broker ends, said with the reason and what to do."""

import contextlib
import socket
import ssl
import subprocess
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import brokers
from certificates import Authority, needs_openssl
from emtc_agent.doctor import worst
from emtc_agent.doctor.broker import BrokerTarget, check_broker, check_credentials
from emtc_agent.doctor.mqtt_login import Answer, log_in
from emtc_agent.report.broker import BrokerUrl
from emtc_agent.report.credentials import Credentials
from emtc_contract.errors import LinkError

DAY_S = 86_400
needs_mosquitto = pytest.mark.skipif(brokers.MOSQUITTO is None, reason="mosquitto is not installed")
pytestmark = [needs_openssl]


def check(url, now_s=None, timeout_s=5.0, **options):
    parsed = url if isinstance(url, BrokerUrl) else BrokerUrl.parse(url)
    return check_broker(
        BrokerTarget(parsed, Credentials(**options)), time.time() if now_s is None else now_s, timeout_s
    )


def by_name(findings):
    return {one.name: one for one in findings}


def the_problem(findings):
    """The only one, which is the last finding."""
    assert [one.level for one in findings].count("problem") == 1, findings
    assert findings[-1].level == "problem"
    return findings[-1]


@contextlib.contextmanager
def tls_broker(folder, authority, pair, *lines):
    """URL of a mosquitto that speaks TLS."""
    files = [f"cafile {authority.certificate}", f"certfile {pair.certificate}", f"keyfile {pair.key}"]
    with brokers.mosquitto(folder, *files, *lines) as url:
        yield url.replace("mqtt://", "mqtts://")


@needs_mosquitto
def test_a_good_plain_broker_is_all_right(tmp_path):
    with brokers.mosquitto(tmp_path) as url:
        findings = check(url)
    assert [one.name for one in findings] == ["broker address", "broker connection", "broker login"]
    assert worst(findings) == "ok"


@needs_mosquitto
def test_a_good_broker_with_certificates_on_both_sides_is_all_right(tmp_path, authority):
    own = authority.client("/CN=gw-1", days=90)
    with tls_broker(tmp_path, authority, authority.server(days=90), "require_certificate true") as url:
        findings = check(url, ca_file=authority.certificate, certificate=own.certificate, private_key=own.key)
    assert {"broker TLS", "broker certificate", "broker login"} <= by_name(findings).keys()
    assert "TLSv1." in by_name(findings)["broker TLS"].what
    serious = [one for one in findings if one.level != "ok"]
    assert serious == []


@needs_mosquitto
def test_a_certificate_of_the_broker_that_ends_soon_is_a_warning(tmp_path, authority):
    with tls_broker(tmp_path, authority, authority.server(days=90)) as url:
        soon = check(url, now_s=time.time() + 75 * DAY_S, ca_file=authority.certificate)
    finding = by_name(soon)["broker certificate"]
    assert finding.level == "warning"
    assert "expires in 15 days" in finding.what


@needs_mosquitto
@pytest.mark.parametrize(
    ("names", "days", "trusted", "what", "fix"),
    [
        ("DNS:elsewhere.example", 30, True, "mismatch", "name that stands in the broker's certificate"),
        ("IP:127.0.0.1", -1, True, "expired", "renewed"),
        ("IP:127.0.0.1", 30, False, "self-signed", "ca_file"),
    ],
)
def test_a_broker_that_cannot_be_trusted(tmp_path, authority, stranger, names, days, trusted, what, fix):
    with tls_broker(tmp_path, authority, authority.server(names, days=days)) as url:
        found = the_problem(check(url, ca_file=(authority if trusted else stranger).certificate))
    assert found.name == "broker TLS"
    assert what in found.what
    assert fix in found.fix


@needs_mosquitto
def test_a_gateway_without_the_certificate_that_the_broker_wants(tmp_path, authority, stranger):
    with tls_broker(tmp_path, authority, authority.server(), "require_certificate true") as url:
        without = the_problem(check(url, ca_file=authority.certificate))
        wrong = stranger.client("/CN=gw-1")
        foreign = the_problem(
            check(url, ca_file=authority.certificate, certificate=wrong.certificate, private_key=wrong.key)
        )
    assert "set certificate and private_key" in without.fix
    assert "authority that the broker trusts" in foreign.fix


@needs_mosquitto
@pytest.mark.parametrize("version", ["tlsv1.2", "tlsv1.3"])
def test_a_client_certificate_is_refused_with_the_reason_in_either_version_of_tls(
    tmp_path, authority, stranger, version
):
    wrong = stranger.client("/CN=gw-1")
    lines = ["require_certificate true", f"tls_version {version}"]
    with tls_broker(tmp_path, authority, authority.server(), *lines) as url:
        found = the_problem(
            check(url, ca_file=authority.certificate, certificate=wrong.certificate, private_key=wrong.key)
        )
    assert "the broker ends" in found.what


@needs_mosquitto
@pytest.mark.skipif(
    bool(ssl.create_default_context().verify_flags & ssl.VERIFY_X509_STRICT), reason="this Python is strict itself"
)
def test_an_authority_that_newer_pythons_refuse_is_a_warning(tmp_path):
    lax = tmp_path / "lax"
    lax.mkdir()
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "/dev/null"]
    files = ["-keyout", lax / "ca.key", "-out", lax / "ca.crt"]
    how = ["-days", "90", "-subj", "/CN=lax", "-addext", "basicConstraints=CA:TRUE"]
    subprocess.run(["openssl", "req", "-x509", *curve, *files, *how], check=True, capture_output=True)
    authority = Authority(lax)
    with tls_broker(tmp_path, authority, authority.server(days=90)) as url:
        findings = check(url, ca_file=authority.certificate)
    assert by_name(findings)["broker login"].level == "ok"
    warning = by_name(findings)["broker certificate form"]
    assert (warning.level, "Python 3.13" in warning.what, "keyCertSign" in warning.fix) == ("warning", True, True)


@needs_mosquitto
def test_user_and_password_are_tried(tmp_path):
    def secret(text):
        (tmp_path / text).write_text(f"{text}\n")
        return tmp_path / text

    listed = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", listed, "gw", "right"], check=True, capture_output=True)
    listed.chmod(0o600)
    with brokers.mosquitto(tmp_path, "allow_anonymous false", f"password_file {listed}") as url:
        assert worst(check(url, user="gw", password_file=secret("right"))) == "ok"
        wrong = the_problem(check(url, user="gw", password_file=secret("wrong")))
        missing = the_problem(check(url, user="gw", password_file=tmp_path / "nothing"))
        nobody = the_problem(check(url))
    assert "Not authorized" in wrong.what
    assert "refused" in nobody.what
    assert "broker" in wrong.fix
    assert "nothing" in missing.what


@needs_mosquitto
def test_tls_spoken_to_a_plain_port_and_the_other_way_round(tmp_path, authority):
    with brokers.mosquitto(tmp_path) as url:
        found = the_problem(check(url.replace("mqtt:", "mqtts:"), ca_file=authority.certificate))
    assert "Check the port" in found.fix
    with tls_broker(tmp_path, authority, authority.server()) as url:
        found = the_problem(check(url.replace("mqtts:", "mqtt:")))
    assert "mqtts://" in found.fix


def test_nobody_at_the_port():
    found = the_problem(check(f"mqtt://127.0.0.1:{brokers.free_port()}"))
    assert found.name == "broker connection"
    assert "refused" in found.what


def test_a_host_that_has_no_address():
    found = the_problem(check(BrokerUrl("a" * 64 + ".example", 1883, tls=False)))
    assert found.name == "broker address"


def test_credentials_that_do_not_load_stop_at_tls(tmp_path, authority):
    """The files are judged elsewhere; here they must not be an exception."""
    (tmp_path / "no.pem").write_text("nothing")
    with answering(b"") as url:
        found = the_problem(check(url.replace("mqtt:", "mqtts:"), ca_file=tmp_path / "no.pem"))
    assert "no.pem" in found.what
    target = BrokerTarget(BrokerUrl.parse("mqtts://x"), Credentials(ca_file=tmp_path / "no.pem"))
    assert worst(check_credentials(target, time.time())) == "problem"


@contextlib.contextmanager
def answering(octets, *, then_close=False):
    """URL of a server that sends these octets to everybody, whatever they say."""
    done = threading.Event()

    def serve(listener):
        with contextlib.suppress(OSError):
            while True:
                channel, _ = listener.accept()
                with channel:
                    channel.sendall(octets)
                    if not then_close:
                        done.wait(10)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield f"mqtt://127.0.0.1:{listener.getsockname()[1]}"
        done.set()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize("scheme", ["mqtt", "mqtts"])
def test_a_server_that_says_nothing_is_given_up(scheme, authority):
    begin_s = time.monotonic()
    with answering(b"") as url:
        found = the_problem(check(url.replace("mqtt", scheme, 1), timeout_s=0.2, ca_file=authority.certificate))
    assert "no answer" in found.what
    assert time.monotonic() - begin_s < 3


@pytest.mark.parametrize(
    ("octets", "level", "what"),
    [
        (bytes.fromhex("20020001"), "problem", "no MQTT v5"),
        (bytes.fromhex("2003008400"), "problem", "Unsupported protocol version"),
        (bytes.fromhex("2003008600"), "problem", "Bad user name or password"),
        (bytes.fromhex("200300ee00"), "problem", "0xee"),
        (bytes.fromhex("2005000002") + b"\x24\x00", "problem", "QoS 1"),
        (bytes.fromhex("2005000002") + b"\x25\x00", "warning", "retained"),
        (bytes.fromhex("20030000 00"), "ok", "accepted"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "problem", "not MQTT"),
        (bytes.fromhex("20ffffffff7f"), "problem", "not MQTT"),
        (b"\x20\x0a\x00", "problem", "the connection"),  # closed or reset, as the kernel likes
    ],
)
def test_what_a_broker_may_answer(octets, level, what):
    with answering(octets, then_close=octets.endswith(b"\x0a\x00")) as url:
        findings = check(url, timeout_s=2)
    assert (findings[-1].level, worst(findings)) == (level, level)
    assert what in findings[-1].what


@given(st.one_of(st.binary(max_size=60), st.binary(max_size=40).map(lambda one: bytes([0x20, len(one)]) + one)))
def test_whatever_a_server_sends_is_an_answer_or_an_error_in_words(octets):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        theirs.sendall(octets)
        theirs.shutdown(socket.SHUT_WR)
        try:
            answer = log_in(ours, "user", None)
        except LinkError as error:
            assert str(error)
        else:
            assert isinstance(answer, Answer)
            assert answer.reason
