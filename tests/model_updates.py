"""What tests of model updates need: a maker with a key, its bundles, and a web server with moods."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import re
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bundles import members, with_manifest, write
from emtc_contract.bundle import MANIFEST
from emtc_contract.updates import SCHEMA, Announcement, chunks_of, decode_announcement, decode_offer
from emtc_export import announcing, signing
from support import ROOT

SHIPPED = ROOT / "agent" / "emtc_agent" / "data" / "default.bundle"
NAME = "edge-v1-default"


def announced(content: bytes, chunk_bytes: int = 1_024, url: str | None = None) -> Announcement:
    """What is announced of some content; its signature is none."""
    return Announcement(
        schema=SCHEMA,
        name="m",
        version=1,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        bundle_signature="signature",
        url=url,
        chunks=None if url else chunks_of(len(content), chunk_bytes),
        chunk_bytes=None if url else chunk_bytes,
    )


class Maker:
    """Makes bundles of the shipped model in other versions, and announces them with a key of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.public, self.secret = signing.generate(folder / "maker", "")

    @functools.cache  # noqa: B019
    def bundle(self, version: int, name: str = NAME) -> Path:
        """A signed bundle."""
        path = self.folder / f"{name}-{version}.bundle"
        with_manifest(SHIPPED, path, lambda manifest: manifest.update(version=version, name=name))
        signing.sign(path, self.secret, "")
        return path

    @functools.cache  # noqa: B019
    def small_bundle(self, version: int) -> Path:
        """A signed bundle of one model, without the rows to test it with; quick to load."""
        content = members(SHIPPED)
        manifest = json.loads(content[MANIFEST])
        model = next(one for one in manifest["artifacts"] if one["precision"] == "int8" and one["runtime"] == "onnx")
        manifest |= {"version": version, "artifacts": [model], "digests": {}}
        path = self.folder / f"small-{version}.bundle"
        write(path, {MANIFEST: json.dumps(manifest), model["file"]: content[model["file"]]})
        signing.sign(path, self.secret, "")
        return path

    @functools.cache  # noqa: B019
    def unfit_bundle(self, version: int) -> Path:
        """A signed bundle that does not do what it should: its models find nothing."""
        content = members(SHIPPED)
        manifest = json.loads(content[MANIFEST])
        manifest |= {"version": version}
        for artifact in manifest["artifacts"]:
            artifact["threshold"] *= 1e3
        path = self.folder / f"unfit-{version}.bundle"
        write(path, content | {MANIFEST: json.dumps(manifest)})
        signing.sign(path, self.secret, "")
        return path

    def offer(self, bundle: Path, **how) -> tuple[bytes, list[bytes]]:
        """Payload of an announcement, and the chunks."""
        files = announcing.announce(bundle, self.secret, "", self.folder / f"{bundle.name}.announced", **how)
        *chunks, payload = (file.read_bytes() for file in files)
        return payload, chunks

    def announcement(self, bundle: Path, **how) -> Announcement:
        """What an announcement says."""
        return decode_announcement(decode_offer(self.offer(bundle, **how)[0]).announcement.encode())


@dataclass
class WebServer:
    """Serves one content, obeying ranges, unless told otherwise.

    Attributes:
        content: What is served.
        ranges: Whether it knows of ranges.
        cuts: After how many bytes to hang up, one per request.
        claims: Content-Length to claim instead of the true one; "" for none.
        headers: Further headers.
        status: Instead of 200 or 206.
        redirects: Path to location.
        asked: Range headers of the requests so far.
    """

    content: bytes
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    claims: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[str | None] = field(default_factory=list)
    url: str = ""
    _go_on: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._go_on.set()

    @contextmanager
    def silent(self):
        """Says nothing more after each answer, and does not hang up either."""
        self._go_on.clear()
        try:
            yield
        finally:
            self._go_on.set()

    def pause(self) -> None:
        """Where it falls silent."""
        self._go_on.wait(10)

    @contextmanager
    def running(self, tls: ssl.SSLContext | None = None):
        """Serves in the background; ``url`` says where."""
        server = _Server(("127.0.0.1", 0), functools.partial(_Handler, self))
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/x.bundle"
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address) -> None:
        """Silent: a client that does not like the certificate hangs up."""


class _Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, mood: WebServer, *arguments) -> None:
        self.mood = mood
        super().__init__(*arguments)

    def do_GET(self) -> None:
        mood = self.mood
        mood.asked.append(self.headers["Range"])
        if self.path in mood.redirects:
            self.send_response(302)
            self.send_header("Location", mood.redirects[self.path])
            self.end_headers()
            return
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "") if mood.ranges else None
        begin = int(wanted[1]) if wanted else 0
        if begin >= len(mood.content):
            self.send_error(416)
            return
        body = mood.content[begin:]
        self.send_response(mood.status or (206 if wanted else 200))
        own = {"Content-Length": str(len(body)) if mood.claims is None else mood.claims}
        if wanted:
            own["Content-Range"] = f"bytes {begin}-{len(mood.content) - 1}/{len(mood.content)}"
        for name, value in (own | mood.headers).items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: mood.cuts.pop(0)] if mood.cuts else body)
        self.wfile.flush()
        mood.pause()

    def log_message(self, *arguments) -> None:
        """Silent."""

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            return  # the client hung up on what it did not want
