"""A battery sensor: wakes, connects, publishes once, sleeps (power saving mode)."""

from emtc_lab.devices.base import Device
from emtc_lab.devices.habits import Habit
from emtc_lab.site import host_name


class MqttSleeper(Device):
    """Silent between short sessions; skips most of the basics, as batteries want it."""

    kind = "mqtt-sleeper"
    habits = (Habit("wake", 70, 0.3), Habit("wake_with_backlog", 700, 0.5))
    basics = (Habit("ask_time", 1500), Habit("renew_lease", 1800))

    def wake(self) -> None:
        """One message in one session."""
        self._publish(self.text(70))

    def wake_with_backlog(self) -> None:
        """What piled up while there was no network."""
        for _ in range(self.rng.randint(3, 9)):
            self._publish(self.text(200))

    def _publish(self, message: str) -> None:
        name = f"sleeper-{self.spec.name}"
        topic = f"site/{self.spec.name}/reading"
        self.program("mosquitto_pub", "-h", host_name("broker"), "-i", name, "-q", "1", "-t", topic, "-m", message)
