"""Whether the broker would take this gateway's reports, and if not, at which step it ends."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from emtc_agent.doctor.certificates import check_authorities, check_own_certificate, check_secret, judge_dates
from emtc_agent.doctor.finding import Finding
from emtc_agent.doctor.mqtt_login import Answer, log_in
from emtc_agent.doctor.running import NoAnswerError, within
from emtc_agent.holding import is_held
from emtc_agent.report.broker import BrokerUrl
from emtc_agent.report.credentials import Credentials
from emtc_contract.errors import InputError, LinkError

STEP_TIMEOUT_S = 5.0
_MOST_ADDRESSES = 4


@dataclass(frozen=True, slots=True)
class BrokerTarget:
    """Where to connect, and as whom.

    Attributes:
        url: The broker.
        credentials: The agent's own way of reading certificates and passwords.
        state: State folder of the agent; one that runs is not thrown out of its session.
    """

    url: BrokerUrl
    credentials: Credentials
    state: Path | None = None


_ALREADY_IN = Finding(
    "broker login", "ok", "not tried: an agent is running here, and a broker may allow one session only"
)


class _StepError(Exception):
    """A step failed; what comes after it cannot be tried."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.what)
        self.finding = finding


def check_credentials(target: BrokerTarget, now_s: float) -> list[Finding]:
    """The files with credentials, without asking anybody."""
    files = target.credentials
    findings = [] if files.ca_file is None else check_authorities(files.ca_file, now_s)
    if files.certificate and files.private_key:
        findings += check_own_certificate(files.certificate, files.private_key, now_s)
    if files.password_file:
        findings += check_secret("password file", files.password_file)
    return findings


def check_broker(target: BrokerTarget, now_s: float, timeout_s: float = STEP_TIMEOUT_S) -> list[Finding]:
    """Resolve, connect, TLS, CONNECT; each step is a finding, and the first that fails is the last.

    Args:
        target: Where to and as whom.
        now_s: The time that certificates are judged at.
        timeout_s: Of each step.
    """
    findings: list[Finding] = []
    try:
        addresses = _resolve(target.url, timeout_s, findings)
        with ExitStack() as stack:
            channel = stack.enter_context(_connect(target.url, addresses, timeout_s, findings))
            if target.url.tls:
                secured = _secure(target, channel, now_s, findings)
                _ask_strictly(target, addresses, timeout_s, findings)
                channel = stack.enter_context(secured)
            findings += [_ALREADY_IN] if target.state and is_held(target.state) else _log_in(target, channel)
    except _StepError as failed:
        findings.append(failed.finding)
    return findings


def _resolve(url: BrokerUrl, timeout_s: float, findings: list[Finding]) -> list[str]:
    """Addresses of the host; the system's resolver has a time-out of its own that may be minutes."""
    name = "broker address"
    try:
        addresses = within(timeout_s, lambda: _look_up(url))
    except (NoAnswerError, OSError, LinkError) as error:
        what = f"{url.host}: {getattr(error, 'strerror', None) or error}"
        fix = "Check the host in [broker] url, the link, and the name servers (resolvectl status, /etc/resolv.conf)."
        raise _StepError(Finding(name, "problem", what, fix)) from None
    known = "" if addresses == [url.host] else f" is {', '.join(addresses)}"
    findings.append(Finding(name, "ok", f"{url.host}{known}"))
    return addresses


def _look_up(url: BrokerUrl) -> list[str]:
    try:
        told = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise LinkError("cannot be a host name") from None
    return [str(address[0]) for *_, address in told[:_MOST_ADDRESSES]]


def _connect(
    url: BrokerUrl, addresses: list[str], timeout_s: float, findings: list[Finding] | None = None
) -> socket.socket:
    """A connection to the first address that answers; all of them together have the time."""
    reasons, until_s = [], time.monotonic() + timeout_s
    for address in addresses:
        left_s = max(until_s - time.monotonic(), 0.1)
        try:
            channel = socket.create_connection((address, url.port), left_s)
        except OSError as error:
            reasons.append(f"{address}: {error.strerror or error}")
            continue
        channel.settimeout(timeout_s)
        if findings is not None:
            findings.append(Finding("broker connection", "ok", f"{address} port {url.port} accepts connections"))
        return channel
    fix = f"Check that the broker runs, its port, the route, and firewalls in between (TCP {url.port})."
    raise _StepError(Finding("broker connection", "problem", f"port {url.port} at {'; '.join(reasons)}", fix))


def _context(target: BrokerTarget) -> ssl.SSLContext:
    try:
        return target.credentials.tls()
    except InputError as error:
        raise _StepError(Finding("broker TLS", "problem", str(error), "Repair the findings above first.")) from None


def _secure(target: BrokerTarget, channel: socket.socket, now_s: float, findings: list[Finding]) -> ssl.SSLSocket:
    try:
        secured = _context(target).wrap_socket(channel, server_hostname=target.url.host)
    except (OSError, ValueError) as error:
        raise _StepError(Finding("broker TLS", "problem", *_tls_failure(error, target))) from None
    findings.append(Finding("broker TLS", "ok", f"{secured.version()} with {(secured.cipher() or ['?'])[0]}"))
    shown = secured.getpeercert() or {}
    begin_s, end_s = (ssl.cert_time_to_seconds(str(shown[name])) for name in ("notBefore", "notAfter"))
    findings.append(judge_dates("broker certificate", target.url.host, begin_s, end_s, now_s))
    return secured


def _ask_strictly(target: BrokerTarget, addresses: list[str], timeout_s: float, findings: list[Finding]) -> None:
    """Whether Python 3.13 and newer, which hold certificates to RFC 5280, would accept them as well."""
    context = _context(target)
    if context.verify_flags & ssl.VERIFY_X509_STRICT:
        return
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        with _connect(target.url, addresses, timeout_s) as channel:
            context.wrap_socket(channel, server_hostname=target.url.host).close()
    except ssl.SSLCertVerificationError as error:
        what = f"Python 3.13 and newer would refuse it: {error.verify_message}"
        fix = (
            "Issue the authority's certificate with basicConstraints and keyUsage keyCertSign, both critical, and "
            "others with subjectKeyIdentifier and authorityKeyIdentifier (RFC 5280)."
        )
        findings.append(Finding("broker certificate form", "warning", what, fix))
    except (OSError, _StepError):  # the connection that counts is another one
        return


_VERIFY_FIXES = {
    9: "Check this machine's clock; else have the broker's certificate issued anew.",
    10: "Have the broker's certificate renewed; check this machine's clock.",
    18: "Set ca_file in [broker] to the broker's certificate or its authority's.",
    19: "Set ca_file in [broker] to the PEM file of the broker's authority.",
    20: "Set ca_file in [broker] to the PEM file of the broker's authority, intermediate ones included.",
    62: "Use the name that stands in the broker's certificate in [broker] url, or have it issued for this one.",
    64: "Use the name that stands in the broker's certificate in [broker] url, or have it issued for this address.",
}
"""X509_V_ERR_ -> what to do."""
_ANOTHER = "Have the broker's certificate issued anew as RFC 5280 wants it."


def _tls_failure(error: Exception, target: BrokerTarget) -> tuple[str, str]:
    """What is wrong and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the broker's certificate: {error.verify_message}", _VERIFY_FIXES.get(error.verify_code, _ANOTHER)
    if isinstance(error, TimeoutError):
        return "no answer to the handshake in time", "Check the port: does it speak TLS?"
    if isinstance(error, ssl.SSLError) and error.reason and "ALERT" in error.reason:
        return _refused(error.reason), _own_fix(target)
    what = str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)
    return f"no TLS handshake: {what}", "Check the port: it seems to speak something else; mqtts:// is usually 8883."


def _refused(alert: str) -> str:
    return f"the broker ends TLS: {alert.lower().replace('_', ' ')}"


def _own_fix(target: BrokerTarget) -> str:
    if target.credentials.certificate:
        return "Have the gateway's certificate issued by an authority that the broker trusts, and for clients."
    return "The broker wants a certificate of the gateway: set certificate and private_key in [broker]."


_LOGIN_FIXES = {
    0x01: "Use a broker that speaks MQTT v5.",
    0x84: "Use a broker that speaks MQTT v5.",
    0x85: "Allow client ids that begin with emtc- at the broker.",
    0x86: "Correct user and password_file in [broker], or create the user at the broker.",
    0x87: "Allow this user, or this certificate, at the broker.",
    0x8A: "Ask whoever runs the broker why this gateway is banned.",
    0x8C: "Correct user and password_file in [broker].",
}
_LATER = "Try again later, and look into the broker's log."


def _log_in(target: BrokerTarget, channel: socket.socket) -> list[Finding]:
    name = "broker login"
    try:
        answer = log_in(channel, target.credentials.user, target.credentials.password())
    except InputError as error:
        return [Finding(name, "problem", str(error), "Correct password_file in [broker].")]
    except TimeoutError:
        fix = "Check the port: is it an MQTT broker, and does it speak TLS (mqtts://)?"
        return [Finding(name, "problem", "no answer to CONNECT in time", fix)]
    except ssl.SSLError as error:  # TLS 1.3: a certificate is refused only now
        return [Finding(name, "problem", _refused(error.reason or str(error)), _own_fix(target))]
    except LinkError as error:
        return [Finding(name, "problem", f"the broker {error}", _ended_fix(target))]
    except OSError as error:
        what = f"the broker ends the connection: {error.strerror or error}"
        return [Finding(name, "problem", what, _ended_fix(target))]
    if answer.code:
        return [Finding(name, "problem", f"refused: {answer.reason}", _LOGIN_FIXES.get(answer.code, _LATER))]
    return [Finding(name, "ok", "MQTT v5, accepted"), *_limits(answer)]


def _ended_fix(target: BrokerTarget) -> str:
    if target.url.tls:
        return f"{_own_fix(target)} Look into the broker's log."
    return "Check that the port speaks MQTT v5 without TLS; mqtts:// is for TLS. Look into the broker's log."


def _limits(answer: Answer) -> list[Finding]:
    findings = []
    if answer.most_qos < 1:
        findings.append(Finding("broker limits", "problem", "it takes no QoS 1", "Allow QoS 1 at the broker."))
    if not answer.retains:
        what = "it keeps no retained messages: status and health are lost on late subscribers"
        findings.append(Finding("broker limits", "warning", what, "Allow retained messages at the broker."))
    return findings
