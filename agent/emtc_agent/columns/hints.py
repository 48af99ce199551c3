"""Application hints from the first payload bytes (a 128-byte snaplen keeps them; they are never stored)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

import numpy as np

from emtc_agent.columns.columns import Columns, Mark
from emtc_agent.columns.gather import headers
from emtc_agent.packets import Bool, Int64, PacketBatch, UInt8, UInt16


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


_DNS, _MQTT, _COAP, _MODBUS = 1, 2, 4, 8
_SPOKEN_OVER = np.zeros(256, np.uint8)  # IP protocol -> what may be spoken over it
_SPOKEN_OVER[[6, 17]] = _DNS | _MQTT | _MODBUS, _DNS | _COAP
_MODBUS_PORT = 502
_WRITES = np.isin(np.arange(256), (5, 6, 15, 16, 22, 23))  # Modbus function codes
_SPOKEN_ON = np.zeros(65536, np.uint8)
_SPOKEN_ON[[53, 1883, 5683, _MODBUS_PORT]] = _DNS, _MQTT, _COAP, _MODBUS
_TCP = 6
_TLS_ALERT, _TLS_HANDSHAKE = 21, 22
_MAX_LABELS = 16
_MAX_NAME = 255


def read_hints(batch: PacketBatch, columns: Columns) -> Hints:
    """Read the hints of a batch; only captured payload bytes of decoded TCP and UDP packets count."""
    size = len(batch)
    hints = Hints(np.zeros(size, np.uint16), np.zeros(size, np.uint16), np.zeros(size, np.uint8))
    filled = ((columns.marks & np.uint8(Mark.TRANSPORT)) != 0) & (columns.payload_cap > 0)
    spoken = _SPOKEN_ON.take(columns.src_port) | _SPOKEN_ON.take(columns.dst_port)
    spoken &= _SPOKEN_OVER.take(columns.proto) * filled
    for protocol, reader in ((_DNS, _read_dns), (_MQTT, _read_mqtt), (_COAP, _read_coap), (_MODBUS, _read_modbus)):
        rows = np.flatnonzero((spoken & protocol) != 0)
        if len(rows):
            reader(batch, columns, rows, hints)
    segments = np.flatnonzero(filled & (columns.proto == _TCP))
    rows = segments[_starts_like_tls(batch, columns, segments)]
    if len(rows):
        _read_tls(batch, columns, rows, hints)
    return hints


def _starts_like_tls(batch: PacketBatch, columns: Columns, rows: Int64) -> Bool:
    """Whether the first payload byte is that of a TLS alert or handshake record."""
    first = batch.data.take(columns.payload_at.take(rows), mode="clip")
    return (first == _TLS_ALERT) | (first == _TLS_HANDSHAKE)


def _flag(hints: Hints, rows: Int64, *told: tuple[Bool, Hint]) -> None:
    """Add to ``rows`` (K,) each hint where its (K,) condition holds."""
    bits = np.zeros(len(rows), np.uint16)
    for where, hint in told:
        bits |= where * np.uint16(hint)
    hints.bits[rows] |= bits


_DNS_HEADER = np.dtype(
    {
        "names": ["id", "flags", "questions"],
        "formats": [">u2", ">u2", ">u2"],
        "offsets": [0, 2, 4],
        "itemsize": 12,
    }
)


def _read_dns(batch: PacketBatch, columns: Columns, rows: Int64, hints: Hints) -> None:
    """DNS over UDP, or over TCP behind a two-byte length (RFC 1035)."""
    over_tcp = columns.proto[rows] == _TCP
    at = columns.payload_at[rows] + np.where(over_tcp, 2, 0)
    captured = columns.payload_cap[rows].astype(np.int64) - np.where(over_tcp, 2, 0)
    header = headers(batch.data, at, captured, _DNS_HEADER)
    flags = header["flags"]
    is_dns = (captured >= 12) & (header["questions"] >= 1) & (header["questions"] < 16)
    response = is_dns & (flags & 0x8000 != 0)
    query = is_dns & ~response
    refused = response & (flags & 15 == 3)
    _flag(hints, rows, (query, Hint.DNS_QUERY), (response, Hint.DNS_RESPONSE), (refused, Hint.DNS_NXDOMAIN))
    hints.dns_id[rows] = np.where(is_dns, header["id"], 0)
    asked = np.flatnonzero(query)
    if len(asked):
        length = columns.payload_len[rows][asked].astype(np.int64) - np.where(over_tcp[asked], 2, 0)
        _read_names(batch, at[asked] + 12, captured[asked] - 12, length - 12, rows[asked], hints)


_OCTET = np.dtype([("value", "u1")])
_WORD = np.dtype([("value", ">u2")])


def _read_names(batch: PacketBatch, at: Int64, captured: Int64, length: Int64, rows: Int64, hints: Hints) -> None:
    """Walk the labels of query names; a name that was cut is judged by the datagram's length."""
    walked = np.zeros(len(at), np.int64)
    ended = np.zeros(len(at), bool)
    for _ in range(_MAX_LABELS):
        label = headers(batch.data, at + walked, captured - walked, _OCTET)["value"].astype(np.int64)
        inside = ~ended & (walked < captured) & (label < 64)
        ended |= inside & (label == 0)
        further = inside & (label > 0)
        if not further.any():
            break
        walked += np.where(further, label + 1, 0)
    name = np.where(ended, walked - 1, length - 6)  # length bytes stand for the dots; 6: root label, type, class
    hints.dns_name_len[rows] = np.clip(name, 0, _MAX_NAME)
    kind = headers(batch.data, at + walked + 1, captured - walked - 1, _WORD)["value"]
    _flag(hints, rows, (ended & ((kind == 16) | (kind == 10)), Hint.DNS_TXT))


_FIRST_BYTES = np.dtype([("octets", "u1", (8,))])
_FIXED_FLAGS = np.full(16, -1)  # MQTT packet type -> the only allowed flags; -1: any
_FIXED_FLAGS[[1, 2, 4, 5, 7, 9, 11, 12, 13, 14, 15]] = 0
_FIXED_FLAGS[[6, 8, 10]] = 2


def _octets(batch: PacketBatch, columns: Columns, rows: Int64) -> UInt8:
    """(K, 8) first payload bytes, 0 where not captured."""
    captured = columns.payload_cap[rows].astype(np.int64)
    return headers(batch.data, columns.payload_at[rows], captured, _FIRST_BYTES)["octets"]


def _read_mqtt(batch: PacketBatch, columns: Columns, rows: Int64, hints: Hints) -> None:
    """Fixed header of the MQTT packet that a segment starts with (MQTT 3.1.1 and 5, section 2.1)."""
    first = _octets(batch, columns, rows)
    kind, flags = first[:, 0] >> 4, first[:, 0] & 15
    known = columns.payload_cap[rows] >= 2
    fixed = _FIXED_FLAGS[kind]
    endless = first[:, 1] & first[:, 2] & first[:, 3] & first[:, 4] >= 0x80
    wrong = (kind == 0) | ((fixed >= 0) & (flags != fixed)) | endless
    refused = (kind == 2) & (first[:, 3] != 0) & (columns.payload_cap[rows] >= 4)
    good = known & ~wrong
    _flag(
        hints,
        rows,
        (known & wrong, Hint.MQTT_MALFORMED),
        (good & (kind == 1), Hint.MQTT_CONNECT),
        (good & refused, Hint.MQTT_REFUSED),
        (good & (kind == 3), Hint.MQTT_PUBLISH),
        (good & (kind == 8), Hint.MQTT_SUBSCRIBE),
    )


def _read_coap(batch: PacketBatch, columns: Columns, rows: Int64, hints: Hints) -> None:
    """CoAP code (RFC 7252, section 3)."""
    first = _octets(batch, columns, rows)
    version_1 = (first[:, 0] >> 6 == 1) & (columns.payload_cap[rows] >= 4)
    code = first[:, 1]
    request, error = (code >= 1) & (code <= 7), (code >> 5 == 4) | (code >> 5 == 5)
    _flag(hints, rows, (version_1 & request, Hint.COAP_REQUEST), (version_1 & error, Hint.COAP_ERROR))


def _read_modbus(batch: PacketBatch, columns: Columns, rows: Int64, hints: Hints) -> None:
    """Modbus/TCP function code behind the seven-byte header."""
    first = _octets(batch, columns, rows)
    is_modbus = (first[:, 2] == 0) & (first[:, 3] == 0) & (columns.payload_cap[rows] >= 8)
    function = first[:, 7]
    request, answer = columns.dst_port[rows] == _MODBUS_PORT, columns.src_port[rows] == _MODBUS_PORT
    write, exception = request & _WRITES[function], answer & (function >= 0x80)
    _flag(hints, rows, (is_modbus & write, Hint.MODBUS_WRITE), (is_modbus & exception, Hint.MODBUS_EXCEPTION))


def _read_tls(batch: PacketBatch, columns: Columns, rows: Int64, hints: Hints) -> None:
    """TLS record that a segment starts with, on any port (RFC 8446, section 5.1)."""
    first = _octets(batch, columns, rows)
    is_tls = (first[:, 1] == 3) & (first[:, 2] <= 4)
    hello = is_tls & (first[:, 0] == _TLS_HANDSHAKE) & (first[:, 5] == 1) & (columns.payload_cap[rows] >= 6)
    alert = is_tls & (first[:, 0] == _TLS_ALERT) & (columns.payload_cap[rows] >= 5)
    _flag(hints, rows, (hello, Hint.TLS_HELLO), (alert, Hint.TLS_ALERT))
