"""A LwM2M-like registration server with aiocoap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiocoap
from aiocoap import resource

PORT = 5685


class _Registration(resource.Resource, resource.PathCapable):
    """``rd``: POST registers, POST below it updates."""

    async def render_post(self, request: aiocoap.Message) -> aiocoap.Message:
        """Created for a new node, changed for a known one."""
        if request.opt.uri_path:
            return aiocoap.Message(code=aiocoap.CHANGED)
        return aiocoap.Message(code=aiocoap.CREATED, location_path=("rd", "1"))


class _Data(resource.Resource):
    """``dp``: takes readings, in blocks where they are large."""

    async def render_post(self, request: aiocoap.Message) -> aiocoap.Message:
        """Take them."""
        return aiocoap.Message(code=aiocoap.CHANGED)


async def serve_lwm2m(address: str, ready: Callable[[], None]) -> None:
    """Serve until cancelled; calls ``ready`` once it listens."""
    site = resource.Site()
    site.add_resource(["rd"], _Registration())
    site.add_resource(["dp"], _Data())
    await aiocoap.Context.create_server_context(site, bind=(address, PORT))
    ready()
    await asyncio.Event().wait()
