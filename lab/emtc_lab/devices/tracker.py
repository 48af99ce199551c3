"""A vehicle tracker: positions over a raw TCP session while moving, silence while parked."""

import socket

from emtc_lab.devices.base import Device
from emtc_lab.devices.habits import Habit
from emtc_lab.site import host_name


class Tracker(Device):
    """NMEA-like sentences, acknowledged by the server."""

    kind = "tracker"
    habits = (Habit("trip", 90, 0.6), Habit("heartbeat", 120))

    def trip(self) -> None:
        """A session with a position every second or two."""
        with socket.create_connection((host_name("track"), 5050), timeout=10) as connection:
            connection.sendall(f"##,imei:86{self.spec.seed % 10**6:06d},A;".encode())
            for number in range(self.rng.randint(8, 30)):
                degrees = f"{self.rng.uniform(4700, 4800):.4f},N,{self.rng.uniform(1200, 1400):.4f},E"
                connection.sendall(f"$GPRMC,{number:06d},A,{degrees},0.1,77.0*6C\r\n".encode())
                connection.recv(64)
                self.pause(self.rng.uniform(0.8, 2.0))

    def heartbeat(self) -> None:
        """A datagram while parked."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(f"HB{self.spec.name}".encode(), (host_name("track"), 5051))
