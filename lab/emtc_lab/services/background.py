"""Running servers beside a device's life."""

from __future__ import annotations

import socketserver
import threading


class ThreadingServer(socketserver.ThreadingTCPServer):
    """TCP, a thread per connection, at once reusable."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A peer that hangs up or talks nonsense is nobody's concern here."""


def in_background(server: socketserver.BaseServer) -> None:
    """Serve until the process ends."""
    threading.Thread(target=server.serve_forever, daemon=True).start()
