"""What trackers, alarm panels, cameras and syslog send to: TCP and UDP, with or without an answer."""

from __future__ import annotations

import socketserver

from emtc_lab.services.background import ThreadingServer, in_background


class _Acknowledge(socketserver.StreamRequestHandler):
    timeout = 120

    def handle(self) -> None:
        """A short answer per line."""
        for _ in self.rfile:
            self.wfile.write(b"ACK\r\n")


class _Heartbeat(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        """Answer the datagram."""
        data, connection = self.request
        connection.sendto(b'"ACK"0000L0[]' + data[-8:], self.client_address)


class _Swallow(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        """Take it."""


def acknowledge_lines(address: str, port: int) -> None:
    """TCP: every line is acknowledged."""
    in_background(ThreadingServer((address, port), _Acknowledge))


def answer_datagrams(address: str, port: int) -> None:
    """UDP: every datagram is answered."""
    in_background(socketserver.UDPServer((address, port), _Heartbeat))


def swallow_datagrams(address: str, port: int) -> None:
    """UDP: datagrams vanish."""
    in_background(socketserver.UDPServer((address, port), _Swallow))
