"""A Modbus/TCP meter: a pymodbus server on the LAN, a daily value to the broker."""

from emtc_lab.devices.habits import Habit
from emtc_lab.devices.mqtt_session import MqttDevice
from emtc_lab.services.modbus import serve_modbus


class ModbusMeter(MqttDevice):
    """Answers its master."""

    kind = "modbus-meter"
    habits = (Habit("publish_value", 75),)

    def serve(self) -> None:
        """Holding registers on port 502."""
        serve_modbus(self.spec.ip)

    def publish_value(self) -> None:
        """The meter reading."""
        self.send("meter", self.text(150))
