"""A Modbus/TCP master (SCADA): polls the meters, writes a set point now and then (pymodbus)."""

from emtc_lab.devices.base import Device
from emtc_lab.devices.habits import Habit
from emtc_lab.services.modbus import open_meter
from emtc_lab.site import host_name


class ModbusMaster(Device):
    """Polls every few seconds, over a new connection each time."""

    kind = "modbus-master"
    habits = (Habit("poll", 5, 0.1), Habit("write", 120, 0.5), Habit("scan_inputs", 240), Habit("sync", 60))

    def poll(self) -> None:
        """Read the first registers of every meter."""
        for meter in self.peers("modbus-meter"):
            with open_meter(meter) as client:
                client.read_holding_registers(0, count=10)

    def scan_inputs(self) -> None:
        """Read more of each meter, over one connection."""
        for meter in self.peers("modbus-meter"):
            with open_meter(meter) as client:
                for block in range(0, 40, 10):
                    client.read_holding_registers(block, count=10)

    def write(self) -> None:
        """A set point of one meter."""
        if meters := self.peers("modbus-meter"):
            with open_meter(self.rng.choice(meters)) as client:
                client.write_register(20, self.rng.randrange(1000))

    def sync(self) -> None:
        """Values to the cloud."""
        self.curl("--data", self.text(2000), f"https://{host_name('api')}/report")
