"""A TLS reporter: every report is a TLS session of its own."""

from emtc_lab.devices.base import Device
from emtc_lab.devices.habits import Habit
from emtc_lab.site import host_name


class TlsReporter(Device):
    """Reports over HTTPS."""

    kind = "tls-reporter"
    habits = (Habit("report", 30), Habit("report_log", 600, 0.6), Habit("firmware", 2400, 0.8))

    def report(self) -> None:
        """A report."""
        self.curl("--data", self.text(900), f"https://{host_name('api')}/report")

    def report_log(self) -> None:
        """The log of the day."""
        self.curl("--data", self.text(20_000), f"https://{host_name('api')}/log")
