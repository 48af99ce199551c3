"""An HTTP reporter: plain reports, a configuration it fetches, firmware over the air."""

from emtc_lab.devices.base import Device
from emtc_lab.devices.habits import Habit
from emtc_lab.site import host_name


class HttpReporter(Device):
    """Older firmware without TLS."""

    kind = "http-reporter"
    habits = (
        Habit("report", 18),
        Habit("fetch_settings", 150),
        Habit("fetch_missing", 400),
        Habit("firmware", 900, 0.6),
    )

    def report(self) -> None:
        """A report."""
        self.curl("--data", self.text(600), f"http://{host_name('api')}/report")

    def fetch_settings(self) -> None:
        """Settings."""
        self.curl(f"http://{host_name('api')}/settings?id={self.spec.name}")

    def fetch_missing(self) -> None:
        """A page that is gone."""
        self.curl(f"http://{host_name('api')}/missing")
