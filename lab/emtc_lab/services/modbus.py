"""Modbus/TCP with pymodbus: a server with registers, and connections to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.server import StartAsyncTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

PORT = 502
REGISTERS = 100


def serve_modbus(address: str, port: int = PORT) -> None:
    """Serve registers 0 to 99 in the background."""
    registers = SimData(0, values=list(range(REGISTERS)), datatype=DataType.REGISTERS)

    async def serve() -> None:
        await StartAsyncTcpServer(SimDevice(id=1, simdata=[registers]), address=(address, port))

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()


@contextmanager
def open_meter(address: str, port: int = PORT) -> Iterator[ModbusTcpClient]:
    """A connection to a meter; raises OSError where it does not answer."""
    try:
        with ModbusTcpClient(address, port=port, timeout=4, retries=1) as client:
            yield client
    except ModbusException as error:
        raise OSError(f"modbus: {error}") from None
