"""A legacy controller: telnet console and a status page, syslog-like datagrams to the cloud."""

import socket

from emtc_lab.devices.base import Device
from emtc_lab.devices.habits import Habit
from emtc_lab.services.login import serve_telnet
from emtc_lab.services.web import serve_web
from emtc_lab.site import host_name


class LegacyConsole(Device):
    """What nobody dares to replace."""

    kind = "legacy-console"
    habits = (Habit("log", 15, 0.9), Habit("report", 120))

    def serve(self) -> None:
        """Telnet on 23 and a page on 80."""
        serve_telnet(self.spec.ip)
        serve_web(self.spec.ip, 80)

    def log(self) -> None:
        """Some lines of syslog (RFC 3164)."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(self.rng.randint(1, 4)):
                line = f"<134>Jan  1 00:00:00 {self.spec.name} plc: cycle {number} {self.text(40)}"
                sender.sendto(line.encode(), (host_name("track"), 514))

    def report(self) -> None:
        """A report over plain HTTP."""
        self.curl("--data", self.text(300), f"http://{host_name('api')}/report")
