"""A home hub: reads the plugs and cameras of the LAN, tells the cloud over TLS."""

from emtc_lab.devices.base import Device
from emtc_lab.devices.habits import Habit
from emtc_lab.site import host_name


class Hub(Device):
    """Polls its neighbours."""

    kind = "hub"
    habits = (
        Habit("read_neighbours", 20),
        Habit("sync", 60),
        Habit("announce", 45, 0.5),
        Habit("ping_neighbours", 150),
        Habit("firmware", 3000, 0.8),
    )

    def read_neighbours(self) -> None:
        """Read the page of each plug."""
        for peer in self.peers("smart-plug", "legacy-console"):
            self.curl(f"http://{peer}/status")

    def ping_neighbours(self) -> None:
        """Are they there?"""
        for peer in self.peers("smart-plug", "camera", "thermostat"):
            self.program("ping", "-c", "1", "-W", "1", peer)

    def sync(self) -> None:
        """Report over TLS."""
        self.curl("--data", self.text(1200), f"https://{host_name('api')}/report")
