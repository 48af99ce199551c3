"""A small Linux box (router, edge computer) with SSH; backs itself up to the cloud."""

from emtc_lab.devices.base import Device
from emtc_lab.devices.habits import Habit
from emtc_lab.services.login import serve_ssh
from emtc_lab.site import host_name


class LinuxBox(Device):
    """Offers SSH; fetches package lists; uploads backups, which look like exfiltration."""

    kind = "linux-box"
    habits = (Habit("fetch_packages", 300), Habit("back_up", 700, 0.6), Habit("report", 60))

    def serve(self) -> None:
        """SSH on port 22."""
        serve_ssh(self.spec.ip, self.firmware_stack)

    def fetch_packages(self) -> None:
        """Several files over one connection."""
        base = f"http://{host_name('update')}/firmware?bytes="
        self.curl(f"{base}1500", f"{base}30000", f"{base}90000")

    def back_up(self) -> None:
        """Upload a few hundred kilobytes over TLS."""
        self.curl("--max-time", "120", "--data", self.text(250_000)[:100_000], f"https://{host_name('backup')}/put")

    def report(self) -> None:
        """A short report."""
        self.curl("--data", self.text(250), f"https://{host_name('api')}/report")
