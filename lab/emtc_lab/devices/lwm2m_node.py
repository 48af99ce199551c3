"""A LwM2M-like node with aiocoap: registers, updates its registration, sends blocks of readings."""

import asyncio

import aiocoap

from emtc_lab.devices.base import Device
from emtc_lab.devices.habits import Habit
from emtc_lab.site import host_name


class Lwm2mNode(Device):
    """Registration life cycle over CoAP (OMA LwM2M 1.1, registration interface)."""

    kind = "lwm2m-node"
    habits = (Habit("update", 40), Habit("send_readings", 90), Habit("register", 900, 0.5))

    def boot(self) -> None:
        """Register after every start."""
        super().boot()
        self.register()

    def register(self) -> None:
        """POST /rd with the objects it has."""
        self._post(f"rd?ep={self.spec.name}&lt=300&lwm2m=1.1&b=U", b"</1/0>,</3/0>,</3303/0>,</3304/0>")

    def update(self) -> None:
        """Keep the registration alive."""
        self._post(f"rd/{self.spec.name}", b"")

    def send_readings(self) -> None:
        """Larger than a block at times (RFC 7959)."""
        self._post("dp", self.text(self.rng.choice([60, 300, 1800])).encode())

    def _post(self, path: str, payload: bytes) -> None:
        asyncio.run(_post(f"coap://{host_name('coap')}:5685/{path}", payload))


async def _post(uri: str, payload: bytes) -> None:
    context = await aiocoap.Context.create_client_context()
    try:
        request = aiocoap.Message(code=aiocoap.POST, uri=uri, payload=payload)
        await asyncio.wait_for(context.request(request).response, 15)
    except (aiocoap.error.Error, TimeoutError) as error:
        raise OSError(f"coap: {error}") from None
    finally:
        await context.shutdown()
