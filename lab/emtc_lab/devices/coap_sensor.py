"""A CoAP sensor: confirmable and non-confirmable readings (libcoap's client)."""

from emtc_lab.devices.base import Device
from emtc_lab.devices.habits import Habit
from emtc_lab.site import host_name


class CoapSensor(Device):
    """Puts readings, asks for the time, sometimes for what is not there."""

    kind = "coap-sensor"
    habits = (Habit("put", 12), Habit("get", 60), Habit("get_missing", 400), Habit("observe", 300))

    def put(self) -> None:
        """A reading."""
        style = ("-N",) if self.personality.qos == 0 else ()
        self._coap("-m", "put", *style, "-e", self.text(40), f"/{self.spec.name}")

    def get(self) -> None:
        """The server's time."""
        self._coap("-m", "get", "/time")

    def get_missing(self) -> None:
        """A resource of older firmware."""
        self._coap("-m", "get", "/old")

    def observe(self) -> None:
        """Watch a resource for a while (RFC 7641)."""
        self._coap("-s", "10", "-m", "get", "/time")

    def _coap(self, *arguments: str) -> None:
        *options, path = arguments
        self.program("coap-client-notls", "-B", "4", *options, f"coap://{host_name('coap')}{path}")
