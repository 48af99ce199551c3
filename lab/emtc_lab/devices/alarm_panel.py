"""An alarm panel: a supervised UDP heartbeat, and events over TCP that must be acknowledged (SIA DC-09-like)."""

import socket

from emtc_lab.devices.base import Device
from emtc_lab.devices.habits import Habit
from emtc_lab.site import host_name


class AlarmPanel(Device):
    """Heartbeat every few seconds, as insurers ask."""

    kind = "alarm-panel"
    habits = (Habit("supervise", 6, 0.05), Habit("event", 120, 0.9), Habit("test_call", 600))

    def supervise(self) -> None:
        """A heartbeat; the answer is awaited."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.settimeout(3)
            sender.sendto(f'"NULL"0000L0#{self.spec.name}[]'.encode(), (host_name("track"), 5052))
            sender.recv(128)

    def event(self) -> None:
        """One event or a few, each acknowledged."""
        with socket.create_connection((host_name("track"), 5050), timeout=10) as connection:
            for number in range(self.rng.randint(1, 4)):
                connection.sendall(f'"SIA-DCS"{number:04d}L0#{self.spec.name}[|Nri1/BA01]\r\n'.encode())
                connection.recv(64)

    def test_call(self) -> None:
        """The daily test."""
        self.event()
        self.curl("--data", self.text(300), f"https://{host_name('api')}/test")
