"""A camera: a steady RTP-like stream over UDP, snapshots over TLS."""

import socket
import struct

from emtc_lab.devices.base import Device
from emtc_lab.devices.habits import Habit
from emtc_lab.site import host_name


class Camera(Device):
    """Streams while somebody watches."""

    kind = "camera"
    habits = (Habit("stream", 60, 0.5), Habit("snapshot", 150), Habit("announce", 90, 0.5))

    def stream(self) -> None:
        """Frames of 1 to 3 packets, 8 to 15 a second, for some seconds (RTP, RFC 3550)."""
        rate = self.rng.choice([8, 10, 15])
        source = self.rng.randrange(2**32)
        target = (socket.gethostbyname(host_name("media")), 5004)
        sequence = 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for frame in range(rate * self.rng.randint(5, 15)):
                for _ in range(3 if frame % 30 == 0 else 1):
                    header = struct.pack(">BBHII", 0x80, 96, sequence & 0xFFFF, frame * 6000, source)
                    sender.sendto(header + bytes(self.rng.randint(250, 1100)), target)
                    sequence += 1
                self.pause(1 / rate)

    def snapshot(self) -> None:
        """A picture."""
        self.curl("--data", self.text(15_000), f"https://{host_name('api')}/snapshot")
