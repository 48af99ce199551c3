"""Addresses as people write them."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

from emtc_agent.windows.windows import EndpointKind

_MAPPED_PREFIX = 0xFFFF


def ip_text(hi: int, lo: int) -> str | None:
    """Text of a 128-bit address (IPv4 mapped), None for the unspecified one."""
    if not hi and lo >> 32 == _MAPPED_PREFIX:
        return str(ipaddress.IPv4Address(lo & 0xFFFF_FFFF)) if lo & 0xFFFF_FFFF else None
    return str(ipaddress.IPv6Address(hi << 64 | lo)) if hi | lo else None


def mac_text(mac: int) -> str:
    """Text of a 48-bit link address."""
    return ":".join(f"{octet:02x}" for octet in mac.to_bytes(8, "big")[2:])


def endpoint_text(kind: int, hi: int, lo: int) -> str:
    """Name of an endpoint, unique within its kind and allowed in a topic."""
    if kind == EndpointKind.MAC:
        return mac_text(lo)
    if kind in (EndpointKind.IP, EndpointKind.TEID):
        return ip_text(hi, lo) or "unspecified"
    return EndpointKind(kind).name.lower()


def time_text(ts_us: int) -> str:
    """RFC 3339 UTC text of microseconds since 1970; times beyond the calendar are cut to its end."""
    seconds, micros = divmod(ts_us, 1_000_000)
    seconds = min(max(seconds, 0), 253_402_300_799)  # 9999-12-31T23:59:59Z
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
