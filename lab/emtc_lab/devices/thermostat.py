"""A thermostat: polls the cloud for its set point, long polls while a user looks at it."""

from emtc_lab.devices.base import Device
from emtc_lab.devices.habits import Habit
from emtc_lab.site import host_name


class Thermostat(Device):
    """Short HTTPS polls and some that the server holds open."""

    kind = "thermostat"
    habits = (Habit("poll", 25), Habit("long_poll", 200, 0.6), Habit("announce", 120, 0.5))

    def poll(self) -> None:
        """The set point."""
        self.curl(f"https://{host_name('api')}/setpoint")

    def long_poll(self) -> None:
        """Held open for some seconds."""
        self.curl(f"https://{host_name('api')}/hold?seconds={self.rng.randint(5, 15)}")
