"""Log-ins: a telnet-like console and an SSH server (asyncssh), each with one user."""

from __future__ import annotations

import asyncio
import socket
import socketserver
import threading

import asyncssh

from emtc_lab.services.background import ThreadingServer, in_background

USER, PASSWORD = "service", "not-a-secret-7"  # of a toy that exists inside the lab only
_MOST_TRIES = 3


class _Telnet(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        """Ask for a name and a password; three tries; then a shell that says little."""
        connection: socket.socket = self.request
        connection.settimeout(120)
        for _ in range(_MOST_TRIES):
            name = self._ask(connection, b"login: ")
            word = self._ask(connection, b"Password: ")
            if (name, word) == (USER, PASSWORD):
                while self._ask(connection, b"$ ") not in ("", "exit"):
                    connection.sendall(b"ok\r\n" * 3)
                return
            connection.sendall(b"Login incorrect\r\n")

    @staticmethod
    def _ask(connection: socket.socket, prompt: bytes) -> str:
        connection.sendall(prompt)
        line = b""
        while not line.endswith((b"\n", b"\r", b"\x00")):
            piece = connection.recv(256)
            if not piece:
                raise ConnectionResetError
            line += piece
            if len(piece) == 1:
                connection.sendall(piece)  # echo to those who type
        return line.strip(b"\r\n\x00").decode("latin-1")


def serve_telnet(address: str, port: int = 23) -> None:
    """Serve the console in the background."""
    in_background(ThreadingServer((address, port), _Telnet))


class _OneUser(asyncssh.SSHServer):
    def password_auth_supported(self) -> bool:
        """Passwords only."""
        return True

    def validate_password(self, username: str, password: str) -> bool:
        """The one user."""
        return (username, password) == (USER, PASSWORD)


def _shell(process: asyncssh.SSHServerProcess[str]) -> None:
    process.stdout.write(f"{process.command}: fine\n" * 12)
    process.exit(0)


def serve_ssh(address: str, version: str) -> None:
    """Serve SSH on port 22 in the background.

    Args:
        address: Where to listen.
        version: Software name of the identification string (RFC 4253, section 4.2).
    """
    ready = threading.Event()

    async def serve() -> None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        await asyncssh.create_server(
            _OneUser, address, 22, server_host_keys=[key], process_factory=_shell, server_version=version
        )
        ready.set()
        await asyncio.Event().wait()

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    ready.wait(10)
