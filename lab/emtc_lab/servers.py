"""Small servers that run inside the lab: ``python -m emtc_lab.servers KIND ADDRESS PORT [CERTIFICATE]``."""

from __future__ import annotations

import socket
import socketserver
import ssl
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FIRMWARE_BYTES = 1_500_000


class _Web(BaseHTTPRequestHandler):
    """Takes reports, serves status pages and firmware."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Serve firmware, a short page, or 404."""
        if self.path.startswith("/firmware"):
            self._answer(200, bytes(FIRMWARE_BYTES))
        elif self.path.startswith("/missing"):
            self._answer(404, b"not here")
        else:
            self._answer(200, b"{}" * 40)

    def do_POST(self) -> None:
        """Take a report."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(204, b"")

    def _answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _ModbusMeter(socketserver.BaseRequestHandler):
    """A meter with holding registers: function 3 reads, 6 writes, others get exception 1."""

    def handle(self) -> None:
        """Answer requests until the master hangs up."""
        connection: socket.socket = self.request
        while header := _receive(connection, 7):
            transaction, _, length, unit = struct.unpack(">HHHB", header)
            request = _receive(connection, length - 1)
            if not request:
                return
            answer = _modbus_answer(request)
            connection.sendall(struct.pack(">HHHB", transaction, 0, len(answer) + 1, unit) + answer)


def _modbus_answer(request: bytes) -> bytes:
    if request[0] == 3:
        count = struct.unpack(">H", request[3:5])[0]
        return bytes([3, 2 * count]) + bytes(range(2 * count))
    if request[0] == 6:
        return request
    return bytes([request[0] | 0x80, 1])


class _Login(socketserver.BaseRequestHandler):
    """A telnet-like log-in that refuses everybody."""

    def handle(self) -> None:
        """Ask for a name and a password, refuse, hang up."""
        connection: socket.socket = self.request
        for prompt in (b"login: ", b"Password: "):
            connection.sendall(prompt)
            if not connection.recv(256):
                return
        connection.sendall(b"Login incorrect\r\n")


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            return b""
        data += piece
    return data


class _ThreadingServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def _web(address: str, port: int, certificate: str | None) -> None:
    server = ThreadingHTTPServer((address, port), _Web)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


def _sink(address: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind((address, port))
        while True:
            receiver.recvfrom(2048)


def main(kind: str, address: str, port: str, certificate: str | None = None) -> None:
    """Serve until terminated."""
    if kind == "web":
        _web(address, int(port), certificate)
    elif kind == "sink":
        _sink(address, int(port))
    else:
        handler = {"modbus": _ModbusMeter, "login": _Login}[kind]
        with _ThreadingServer((address, int(port)), handler) as server:
            server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
