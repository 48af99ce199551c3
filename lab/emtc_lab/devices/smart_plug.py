"""A smart plug: MQTT to the cloud, a small HTTP page and mDNS on the LAN."""

from emtc_lab.devices.habits import Habit
from emtc_lab.devices.mqtt_session import MqttDevice
from emtc_lab.services.web import serve_web


class SmartPlug(MqttDevice):
    """Reports power; announces itself; others may read its page."""

    kind = "smart-plug"
    habits = (Habit("publish_power", 15), Habit("announce", 60, 0.5), Habit("ping_gateway", 240))

    def serve(self) -> None:
        """The page."""
        serve_web(self.spec.ip, 80)

    def publish_power(self) -> None:
        """Power and energy."""
        self.send("power", self.text(50))
