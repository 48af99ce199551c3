"""A small web server: takes reports, serves pages and firmware, and is a toy target of web attacks.

Nothing is executed or looked up, whatever a request says: injections only get the answers of a careless site.
"""

from __future__ import annotations

import socketserver
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from emtc_lab.services.background import in_background

_MOST_BYTES = 2_000_000
_LONGEST_HOLD_S = 20.0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        """Bind without looking up the address's name, which no device does."""
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: object, client_address: object) -> None:
        """Peers hang up: slow readers, scanners, power cuts."""


class _Web(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """Firmware, held answers, a log-in, 404, or a short page."""
        target = urlsplit(self.path)
        query = parse_qs(target.query)
        if target.path == "/firmware":
            self._answer(200, bytes(min(_number(query, "bytes", 100_000), _MOST_BYTES)))
        elif target.path == "/hold":
            threading.Event().wait(min(_number(query, "seconds", 1), _LONGEST_HOLD_S))
            self._answer(200, b"{}")
        elif target.path == "/admin":
            self._answer(401, b"who are you?")
        elif target.path.startswith(("/settings", "/setpoint", "/status", "/page", "/search", "/ping")) or (
            target.path == "/"
        ):
            self._answer(500 if "'" in self.path or "%27" in self.path else 200, b'{"ok":1}' * 40)
        else:
            self._answer(404, b"not here")

    def do_POST(self) -> None:
        """Take a report."""
        left = int(self.headers.get("Content-Length", 0))
        while left > 0 and (piece := self.rfile.read(min(left, 65536))):
            left -= len(piece)
        self._answer(204, b"")

    def _answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        if code == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="device"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """The capture is the log."""


def _number(query: dict[str, list[str]], key: str, default: int) -> int:
    try:
        return int(query[key][0])
    except (KeyError, ValueError):
        return default


def serve_web(address: str, port: int, certificate: Path | None = None) -> None:
    """Serve HTTP, or HTTPS with a certificate, in the background."""
    server = _Server((address, port), _Web)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # The handshake happens in the connection's own thread: one that stalls must not stop the others.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    in_background(server)
