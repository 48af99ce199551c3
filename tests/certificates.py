"""Certificates for tests, made with openssl and apart from the product's own way of making them.

A session-wide fixture may hold an ``Authority``: it makes each certificate once.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
LOOPBACK = "IP:127.0.0.1,IP:::1,DNS:localhost"
_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "/dev/null")


class Pair(NamedTuple):
    """Files of a certificate and its private key."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority with its files in ``folder``, the one that is there or a new one.

    ``certificate`` is what others trust.
    """

    def __init__(self, folder: Path, name: str = "test CA") -> None:
        self.folder = folder
        self.certificate, self.key = folder / "ca.crt", folder / "ca.key"
        self._made: dict[tuple, Pair] = {}
        if self.certificate.exists():
            return
        folder.mkdir(parents=True, exist_ok=True)
        extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
        added = [part for extension in extensions for part in ("-addext", extension)]
        files = ("-keyout", self.key, "-out", self.certificate)
        _openssl("req", "-x509", *_CURVE, *files, "-days", "30", "-subj", f"/CN={name}", *added)

    def server(self, names: str = LOOPBACK, *, days: int = 30) -> Pair:
        """A server's certificate for ``names``, as in subjectAltName."""
        return self._once("/CN=server", "serverAuth", days, names)

    def client(self, subject: str, *, days: int = 30) -> Pair:
        """A client's certificate for a subject like ``/O=acme/CN=gw-1``; -1 ``days`` make it an expired one."""
        return self._once(subject, "clientAuth", days, "")

    def _once(self, *wanted) -> Pair:
        if wanted not in self._made:
            self._made[wanted] = self._make(f"{len(self._made)}", *wanted)
        return self._made[wanted]

    def _make(self, stem: str, subject: str, usage: str, days: int, names: str) -> Pair:
        pair = Pair(self.folder / f"{stem}.crt", self.folder / f"{stem}.key")
        request = self.folder / f"{stem}.csr"
        _openssl("req", "-new", *_CURVE, "-keyout", pair.key, "-out", request, "-subj", subject)
        extensions = [
            "basicConstraints=critical,CA:FALSE",
            "keyUsage=critical,digitalSignature",
            f"extendedKeyUsage={usage}",
            "subjectKeyIdentifier=hash",
            "authorityKeyIdentifier=keyid:always",
            *([f"subjectAltName={names}"] if names else []),
        ]
        signing = ("-in", request, "-CA", self.certificate, "-CAkey", self.key, "-out", pair.certificate)
        how = ("-days", days, "-set_serial", len(self._made) + 2, "-extfile", "/dev/stdin")
        _openssl("x509", "-req", *signing, *how, given="\n".join(extensions) + "\n")
        return pair


def _openssl(*arguments, given: str = "") -> None:
    command = ["openssl", *map(str, arguments)]
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
