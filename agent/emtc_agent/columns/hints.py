"""Application hints from the first payload bytes (a 128-byte snaplen keeps them; they are never stored)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from emtc_agent.packets import UInt8, UInt16


class Hint(IntFlag):
    """Bits of ``Hints.bits``."""

    DNS_QUERY = 1
    DNS_RESPONSE = 2
    DNS_NXDOMAIN = 4
    DNS_TXT = 8  # query for TXT or NULL
    MQTT_CONNECT = 16
    MQTT_REFUSED = 32  # CONNACK with an error code
    MQTT_SUBSCRIBE = 64
    MQTT_MALFORMED = 128
    MQTT_PUBLISH = 256
    COAP_REQUEST = 512
    COAP_ERROR = 1024  # 4.xx, 5.xx
    TLS_HELLO = 2048
    TLS_ALERT = 4096
    MODBUS_WRITE = 8192
    MODBUS_EXCEPTION = 16384


@dataclass(frozen=True, slots=True)
class Hints:
    """Per packet, shape (N,).

    Attributes:
        bits: ``Hint`` bits.
        dns_id: DNS transaction id of queries and responses, else 0.
        dns_name_len: Length in bytes of the first query name as presented (labels joined by dots, at most
            255), 0 where there is no query.
    """

    bits: UInt16
    dns_id: UInt16
    dns_name_len: UInt8
