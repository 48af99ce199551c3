"""A lasting MQTT connection with paho, shared by the kinds that keep one."""

from __future__ import annotations

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from emtc_lab.devices.base import Device
from emtc_lab.site import host_name


class MqttDevice(Device):
    """Connects when first needed, reconnects by itself, forgets the connection on reboot."""

    _client: mqtt.Client | None = None

    def client(self) -> mqtt.Client:
        """The connected client."""
        if self._client is None:
            version = mqtt.MQTTv5 if self.personality.version == 5 else mqtt.MQTTv311
            name = f"{self.spec.kind}-{self.spec.name}"
            client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=version)
            client.will_set(f"site/{name}/state", "gone")
            client.connect(host_name("broker"), 1883, keepalive=self.personality.keepalive_s)
            self.on_connected(client)
            client.loop_start()
            self._client = client
        return self._client

    def on_connected(self, client: mqtt.Client) -> None:
        """Subscriptions of the kind; none by default."""

    def send(self, topic: str, payload: str) -> None:
        """Publish below the device's own topic."""
        self.client().publish(f"site/{self.spec.name}/{topic}", payload, qos=self.personality.qos)

    def forget(self) -> None:
        """A reboot drops the connection; without a DISCONNECT where power was cut."""
        if self._client is not None:
            if self.rng.random() < 0.5:
                self._client.disconnect()
            self._client.loop_stop()
            self._client = None
