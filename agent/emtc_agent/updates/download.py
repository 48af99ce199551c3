"""Getting a bundle over HTTP, piece by piece, going on where an earlier attempt ended.

https only, or http from this machine itself. The server is trusted with nothing: whatever it sends is bounded by the
announced size while it is read, and held against the announced digest at the end.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

from emtc_agent.updates.incoming import Incoming
from emtc_contract.errors import BundleError, InputError, LinkError

_RANGE = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15}|\*)\Z")
_LENGTH = re.compile(r"[0-9]{1,15}\Z")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_READ_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class DownloadConfig:
    """How to download.

    Attributes:
        timeout_s: Longest silence of the server.
        piece_bytes: How much to take per step; a step that is cut off loses at most this.
        max_redirects: How often the server may send elsewhere.
        ca_file: Certificate authorities; the system's if None.
    """

    timeout_s: float = 20.0
    piece_bytes: int = 256 << 10
    max_redirects: int = 3
    ca_file: str | None = None


def require_safe_url(url: str) -> SplitResult:
    """The parts of a URL one may download from; raises InputError for any other."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"url {url[:200]!r}: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise InputError("a url with credentials: they would be in everybody's announcement")
    if not host or parts.scheme not in ("https", "http"):
        raise InputError(f"url {url[:200]!r}: neither https:// nor http://")
    if parts.scheme == "http" and not _is_loopback(host):
        raise InputError(f"url {url[:200]!r}: http without TLS is for this machine only")
    return parts


class Download:
    """A download in steps, each of bounded size and duration.

    Args:
        url: Where from.
        incoming: Where to.
        config: How.
        hurry: Says whether a step should end early, for something else to be done.
    """

    def __init__(
        self, url: str, incoming: Incoming, config: DownloadConfig, hurry: Callable[[], bool] = lambda: False
    ) -> None:
        self._local = _is_loopback(require_safe_url(url).hostname or "")
        self._hurry = hurry
        self._url = url
        self._incoming = incoming
        self._config = config
        self._connection: http.client.HTTPConnection | None = None
        self._response: http.client.HTTPResponse | None = None

    def step(self) -> bool:
        """Take the next piece; returns whether all octets are there.

        Raises:
            LinkError: The server cannot be reached, answered otherwise, or stopped; what is there is kept.
            BundleError: What it offers is not what was announced; what is there is discarded.
        """
        missing = self._missing_bytes()
        if missing > 0:
            try:
                self._take(missing)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.close()
                raise LinkError(f"{self._url}: {_reason(error)}") from None
            except (LinkError, BundleError):
                self.close()
                raise
        if self._missing_bytes() > 0:
            return False
        self.close()
        return True

    def close(self) -> None:
        """Hang up."""
        if self._response is not None:
            self._response.close()
        if self._connection is not None:
            self._connection.close()
        self._response = self._connection = None

    def _missing_bytes(self) -> int:
        return self._incoming.announcement.size_bytes - self._incoming.have_bytes

    def _take(self, missing: int) -> None:
        if self._response is None:
            self._response = self._answer()
            missing = self._missing_bytes()
        piece, size = bytearray(), min(self._config.piece_bytes, missing)
        try:
            while len(piece) < size and not (piece and self._hurry()):
                got = self._response.read1(min(_READ_BYTES, size - len(piece)))
                if not got:
                    raise LinkError(f"{self._url}: ended {missing - len(piece)} bytes early")
                piece += got
        finally:
            if piece:
                self._incoming.append(bytes(piece))
        if len(piece) == missing and self._response.read1(1):
            raise self._other("more")

    def _answer(self) -> http.client.HTTPResponse:
        """The server's answer, behind redirections, with the octets that are missing."""
        url = self._url
        for _ in range(self._config.max_redirects + 1):
            response = self._get(url)
            if response.status not in _REDIRECTS:
                self._check(response)
                return response
            url = self._elsewhere(urljoin(url, response.headers.get("Location", "")))
            response.close()
            self.close()
        raise LinkError(f"{self._url}: more than {self._config.max_redirects} redirections")

    def _elsewhere(self, url: str) -> str:
        """Where a redirection may lead to: not from another host to this machine's own services."""
        try:
            host = require_safe_url(url).hostname or ""
        except InputError as error:
            raise LinkError(f"{self._url}: redirected to {error}") from None
        if _is_loopback(host) and not self._local:
            raise LinkError(f"{self._url}: redirected to this machine itself")
        return url

    def _get(self, url: str) -> http.client.HTTPResponse:
        parts = require_safe_url(url)
        host, port, timeout_s = parts.hostname or "", parts.port, self._config.timeout_s
        if parts.scheme == "https":
            context = _tls(self._config.ca_file)
            self._connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
        else:
            self._connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        headers = {"Accept-Encoding": "identity", "User-Agent": "emtc-agent", "Connection": "close"}
        if have := self._incoming.have_bytes:
            headers["Range"] = f"bytes={have}-"
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._connection.request("GET", target, headers=headers)
        return self._connection.getresponse()

    def _check(self, response: http.client.HTTPResponse) -> None:
        """Raise unless the answer is the rest of the file, or all of it, which is then begun again."""
        status, have, size = response.status, self._incoming.have_bytes, self._incoming.announcement.size_bytes
        if status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise self._other("less")
        if status not in (http.client.OK, http.client.PARTIAL_CONTENT):
            raise LinkError(f"{self._url}: HTTP {status} {response.reason[:100]}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise LinkError(f"{self._url}: sent compressed")
        if status == http.client.PARTIAL_CONTENT:
            self._check_range(response.headers.get("Content-Range", ""), have, size)
        elif have:
            self._incoming.restart()
            have = 0
        length = response.headers.get("Content-Length", "")
        if _LENGTH.match(length) and have + int(length) != size:
            raise self._other(f"{have + int(length)} bytes")

    def _check_range(self, text: str, have: int, size: int) -> None:
        match = _RANGE.match(text)
        if not match or int(match[1]) != have:
            raise LinkError(f"{self._url}: asked for octets from {have} on, got {text[:100]!r}")
        if match[3] not in ("*", str(size)):
            raise self._other(f"{match[3]} bytes")

    def _other(self, what: str) -> BundleError:
        """Discards what is there, which may be of the other file too."""
        self._incoming.restart()
        return BundleError(
            f"{self._url}: holds {what}, announced were {self._incoming.announcement.size_bytes} bytes"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _tls(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)[:200] or type(error).__name__
