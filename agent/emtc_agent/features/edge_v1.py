"""The formulas of ``edge-v1``: closed windows of records in, one row of features per window out.

Everything is summed in integers and divided once per window, so a row does not depend on how the stream was
cut. Column meanings: ``emtc_contract.edge_v1``.
"""

from __future__ import annotations

import numpy as np

from emtc_agent.packets import Float64, Int32, Int64, UInt8, UInt64
from emtc_agent.windows.arrays import lengths
from emtc_agent.windows.fanout import FanOut
from emtc_agent.windows.pool import View
from emtc_agent.windows.traits import BIT, has
from emtc_contract.edge_v1 import EDGE_V1, SERVICES

MIN_DURATION_US = 1_000
BURST_GAP_US = 1_000
MAX_IDLE_US = 600_000_000
_NO_MIN = 1 << 30


def edge_features(
    records: View,
    traits: UInt64,
    counts: UInt8,
    clock_us: Int64,
    starts: Int64,
    idle_us: Int64,
    talks: FanOut,
    new_remote: Int64,
    new_service: Int64,
) -> Float64:
    """Features of W closed windows.

    Args:
        records: Records of the windows, window by window.
        traits: (R,) their traits.
        counts: (W, 64) how many records of each window have each trait.
        clock_us: (R,) their stream time.
        starts: (W,) first record of each window.
        idle_us: (W,) silence of the endpoint before the window.
        talks: Whom the windows talk to.
        new_remote: (W,) packets with a remote that is new to the endpoint.
        new_service: (W,) packets with a (remote, service) pair that is new to the endpoint.

    Returns:
        (W, len(EDGE_V1.features)) float64.
    """
    windows = len(starts)
    packets = lengths(starts, len(records))
    window = np.repeat(np.arange(windows), packets)

    columns: dict[str, Float64 | Int64] = {
        "packets": packets,
        **_sizes(records.column("size"), traits, starts, packets, counts[:, BIT["up"]].astype(np.int64)),
        **_timing(clock_us, starts, packets),
        **dict(zip(_SHARES, (counts[:, _SHARE_BITS] / packets[:, None]).T, strict=True)),
        "syn_unanswered_share": _unanswered(counts) / packets,
        "remotes": talks.remotes.distinct(windows),
        "top_remote_share": talks.top / packets,
        "remote_ports": talks.remote_ports,
        "local_ports": talks.local_ports,
        "new_remote_share": new_remote / packets,
        "new_service_share": new_service / packets,
        **_spoofing(records, traits, window, starts, counts, packets),
        **_dns(records, traits, window, counts, packets),
        "idle_before_s": np.minimum(idle_us, MAX_IDLE_US) / 1e6,
    }
    by_column = np.empty((len(EDGE_V1.columns), windows))
    for number, name in enumerate(EDGE_V1.columns):
        by_column[number] = columns.pop(name)  # many windows: not all of it in memory twice
    return np.ascontiguousarray(by_column.T)


_SHARED_TRAITS = {
    "up_packet_share": "up",
    "rst_share": "rst_out",
    **{
        f"{name}_share": name
        for name in (
            *("udp", "icmp", "arp", "other", "fragment", "malformed", "unreachable"),
            *("syn", "fin", "rst_in", "odd_flags", "login"),
            *SERVICES,
            *("dns_nxdomain", "dns_txt", "mqtt_connect", "mqtt_refused", "mqtt_subscribe", "mqtt_malformed"),
            *("tls_alert", "modbus_write", "coap_error"),
        )
    },
}
_SHARES = tuple(_SHARED_TRAITS)
_SHARE_BITS = [BIT[trait] for trait in _SHARED_TRAITS.values()]


def _unanswered(counts: UInt8) -> Int64:
    """SYNs beyond the SYN-ACKs of the opposite direction."""

    def of(name: str) -> Int64:
        return counts[:, BIT[name]].astype(np.int64)

    sent = np.maximum(of("syn_up") - of("synack_down"), 0)
    return sent + np.maximum(of("syn_down") - of("synack_up"), 0)


def _sizes(size32: Int32, traits: UInt64, starts: Int64, packets: Int64, sent: Int64) -> dict[str, Float64]:
    """Mean, spread and extremes of packet sizes by direction."""
    up = has(traits, "up")
    size = size32.astype(np.int64)
    up_size, down_size = size * up, size * ~up
    up_min = np.minimum.reduceat(up_size + _NO_MIN * ~up, starts)
    up_mean, up_std = _mean_std(up_size, starts, sent)
    down_mean, down_std = _mean_std(down_size, starts, packets - sent)
    return {
        "up_size_mean": up_mean,
        "up_size_std": up_std,
        "up_size_min": np.where(sent > 0, up_min, 0).astype(np.float64),
        "up_size_max": np.maximum.reduceat(up_size, starts).astype(np.float64),
        "down_size_mean": down_mean,
        "down_size_std": down_std,
        "down_size_max": np.maximum.reduceat(down_size, starts).astype(np.float64),
    }


def _mean_std(value: Int64, starts: Int64, number: Int64) -> tuple[Float64, Float64]:
    """Mean and population standard deviation of ``number`` values per window (the others are 0)."""
    total = np.add.reduceat(value, starts)
    squares = np.add.reduceat(value * value, starts)
    n = np.maximum(number, 1)
    return total / n, np.sqrt(n * squares - total * total) / n


def _timing(clock_us: Int64, starts: Int64, packets: Int64) -> dict[str, Float64]:
    """Rate, gaps between packets, bursts."""
    gap = np.empty_like(clock_us)
    np.subtract(clock_us[1:], clock_us[:-1], out=gap[1:])
    gap[starts] = 0
    gaps = packets - 1
    duration = np.add.reduceat(gap, starts)
    burst = np.add.reduceat((gap <= BURST_GAP_US).astype(np.int64), starts) - 1  # the first gap is no gap
    _, std = _mean_std(gap, starts, gaps)
    return {
        "packets_per_s": gaps * 1e6 / np.maximum(duration, MIN_DURATION_US),
        "iat_std": std / 1e6,
        "iat_max": np.maximum.reduceat(gap, starts) / 1e6,
        "burst_share": burst / packets,
    }


def _spoofing(
    records: View, traits: UInt64, window: Int64, starts: Int64, counts: UInt8, packets: Int64
) -> dict[str, Float64 | Int64]:
    """ARP that nobody asked for or that contradicts itself, and mixed TTLs."""
    asked = counts[:, BIT["arp_ask_up"]].astype(np.int64)
    told = counts[:, BIT["arp_tell_down"]].astype(np.int64)
    ttl = records.column("ttl")
    received = (ttl > 0) & ~has(traits, "up")
    highest = np.maximum.reduceat(ttl * received, starts)
    lowest = np.minimum.reduceat(ttl | np.uint8(255) * ~received, starts)
    return {
        "arp_unasked_share": np.maximum(told - asked, 0) / packets,
        "arp_conflicts": _arp_conflicts(records, _where(traits, counts, "arp"), window, len(starts)),
        "ttl_spread": np.maximum(highest.astype(np.int64) - lowest, 0),
    }


def _arp_conflicts(records: View, arp: Int64, window: Int64, windows: int) -> Int64:
    """Distinct (address, MAC) claims beyond the distinct addresses, among the ARP records."""
    if not len(arp):
        return np.zeros(windows, np.int64)
    view = records.at(arp)
    mac = view.column("arp_mac").astype(np.int64)
    address = view.source("address_lo").astype(np.int64) & 0xFFFF_FFFF
    claims = np.unique(np.stack([window[arp], address, mac])[:, mac != 0], axis=1)
    addresses = np.unique(claims[:2], axis=1)
    return np.bincount(claims[0], minlength=windows) - np.bincount(addresses[0], minlength=windows)


def _dns(records: View, traits: UInt64, window: Int64, counts: UInt8, packets: Int64) -> dict[str, Float64 | Int64]:
    """Name lengths, and answers to a transaction that already had one."""
    windows = len(packets)
    query = _where(traits, counts, "dns_query")
    answer = _where(traits, counts, "dns_response")
    name_len = np.bincount(window[query], weights=records.at(query).column("dns_name_len"), minlength=windows)
    transaction = (window[answer] << 16) | records.at(answer).column("dns_id")
    distinct = np.unique(transaction) >> 16
    answers = np.bincount(window[answer], minlength=windows)
    return {
        "dns_name_len": name_len / np.maximum(counts[:, BIT["dns_query"]], 1),
        "dns_double_answers": answers - np.bincount(distinct, minlength=windows),
    }


def _where(traits: UInt64, counts: UInt8, name: str) -> Int64:
    """Which records have a trait; quick where none has."""
    return np.flatnonzero(has(traits, name)) if counts[:, BIT[name]].any() else np.zeros(0, np.int64)
