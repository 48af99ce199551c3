"""An MQTT sensor: telemetry over a lasting connection, bursts when something happens."""

from emtc_lab.devices.habits import Habit
from emtc_lab.devices.mqtt_session import MqttDevice


class MqttSensor(MqttDevice):
    """Publishes a reading every few seconds."""

    kind = "mqtt-sensor"
    habits = (Habit("publish", 8), Habit("publish_burst", 240, 0.9), Habit("firmware", 2400, 0.8))

    def publish(self) -> None:
        """One reading."""
        self.send("telemetry", self.text(110))

    def publish_burst(self) -> None:
        """An alarm: many readings at once."""
        for _ in range(self.rng.randint(5, 40)):
            self.send("alarm", self.text(90))
            self.pause(0.1)
