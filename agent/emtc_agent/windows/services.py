"""Service of a port: index into ``emtc_contract.edge_v1.SERVICES`` plus one, 0 for none."""

from __future__ import annotations

import numpy as np

from emtc_contract.edge_v1 import SERVICES

PORTS: dict[str, tuple[int, ...]] = {
    "dns": (53,),
    "ntp": (123,),
    "dhcp": (67, 68, 546, 547),
    "mqtt": (1883, 8883),
    "coap": (5683, 5684),
    "http": (80, 8000, 8080),
    "tls": (443, 853, 8443),
    "telnet": (23, 2323),
    "shell": (20, 21, 22),
    "industrial": (102, 502, 2404, 4840, 20000, 44818, 47808),
    "discovery": (137, 138, 1900, 3702, 5353, 5355),
}

SERVICE_OF_PORT = np.zeros(65536, np.uint8)
for _index, _service in enumerate(SERVICES, start=1):
    SERVICE_OF_PORT[list(PORTS[_service])] = _index
