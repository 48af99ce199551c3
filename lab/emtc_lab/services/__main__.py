"""``python -m emtc_lab.services cloud CERTIFICATE | c2``: the lab's own servers of one place, until terminated."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

from emtc_lab.services.lwm2m import serve_lwm2m
from emtc_lab.services.sinks import acknowledge_lines, answer_datagrams, swallow_datagrams
from emtc_lab.services.web import serve_web
from emtc_lab.site import C2_IP, SERVICES


def _cloud(certificate: str) -> None:
    for name in ("api", "update", "backup"):
        serve_web(SERVICES[name], 80)
        serve_web(SERVICES[name], 443, Path(certificate))
    acknowledge_lines(SERVICES["track"], 5050)
    answer_datagrams(SERVICES["track"], 5052)
    for name, port in (("track", 5051), ("track", 514), ("media", 5004)):
        swallow_datagrams(SERVICES[name], port)
    asyncio.run(serve_lwm2m(SERVICES["coap"], _ready))


def _c2(certificate: str) -> None:
    serve_web(C2_IP, 80)
    serve_web(C2_IP, 443, Path(certificate))
    acknowledge_lines(C2_IP, 6667)
    _ready()
    threading.Event().wait()


def _ready() -> None:
    print("ready", flush=True)  # noqa: T201 - the lab waits for this line


if __name__ == "__main__":
    {"cloud": _cloud, "c2": _c2}[sys.argv[1]](sys.argv[2])
