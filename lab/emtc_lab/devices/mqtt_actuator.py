"""An MQTT actuator: subscribed and silent but for keepalives; the cloud sends it commands."""

import paho.mqtt.client as mqtt

from emtc_lab.devices.habits import Habit
from emtc_lab.devices.mqtt_session import MqttDevice
from emtc_lab.site import host_name


class MqttActuator(MqttDevice):
    """Keeps a session open, reports its state now and then."""

    kind = "mqtt-actuator"
    habits = (Habit("report_state", 180), Habit("answer_app", 75, 0.9))

    def on_connected(self, client: mqtt.Client) -> None:
        """Listen for commands."""
        client.subscribe(f"site/{self.spec.name}/command", qos=1)

    def report_state(self) -> None:
        """The state."""
        self.send("state", self.text(60))

    def answer_app(self) -> None:
        """A user's app switches it: a command through the broker and the state back."""
        self.client()
        topic = f"site/{self.spec.name}/command"
        self.program("mosquitto_pub", "-h", host_name("broker"), "-q", "1", "-t", topic, "-m", "on")
        self.report_state()
