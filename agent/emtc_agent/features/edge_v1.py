"""The formulas of ``edge-v1``: closed windows of records in, one row of features per window out.

Everything is summed in integers and divided once per window, so a row does not depend on how the stream was
cut. Column meanings: ``emtc_contract.edge_v1``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emtc_agent.packets import Float64, Int64, UInt8, UInt64
from emtc_agent.windows.arrays import is_first
from emtc_agent.windows.pool import Pool
from emtc_agent.windows.traits import BIT, count, has
from emtc_contract.edge_v1 import EDGE_V1, SERVICES

MIN_DURATION_US = 1_000
BURST_GAP_US = 1_000
MAX_IDLE_US = 600_000_000
_NO_MIN = 1 << 30
_HASH_BITS = np.uint64(46)
_HASH_MASK = np.uint64((1 << 46) - 1)
_WINDOW_SHIFT = np.uint64(64 - 46)


@dataclass(frozen=True, slots=True)
class Runs:
    """Distinct (window, value) pairs, ordered by window.

    Attributes:
        window: (U,) window of each run.
        tag: (U,) the value's hash, cut to 46 bits.
        packets: (U,) packets of the window with that value.
    """

    window: Int64
    tag: UInt64
    packets: Int64

    def distinct(self, windows: int) -> Int64:
        """(W,) distinct values of each window."""
        return np.bincount(self.window, minlength=windows)

    def most(self, windows: int) -> tuple[Int64, UInt64]:
        """(W,) packets and tag of each window's most frequent value; tag 0 if there is none or several."""
        best = np.zeros(windows, np.int64)
        tag = np.zeros(windows, np.uint64)
        np.maximum.at(best, self.window, self.packets)
        leads = self.packets == best[self.window]
        tag[self.window[leads]] = self.tag[leads]
        tag[np.bincount(self.window[leads], minlength=windows) > 1] = 0
        return best, tag


def runs(window: Int64, value: UInt64) -> Runs:
    """Distinct values per window, by sorting ``window | upper 46 bits of value``; fewer than 2^18 windows."""
    key = (window.astype(np.uint64) << _HASH_BITS) | (value >> _WINDOW_SHIFT)
    key.sort()
    first = np.flatnonzero(is_first(key))
    packets = np.diff(first, append=len(key))
    key = key[first]
    return Runs((key >> _HASH_BITS).astype(np.int64), key & _HASH_MASK, packets)


def edge_features(
    records: Pool,
    starts: Int64,
    idle_us: Int64,
    remotes: Runs,
    new_remote: Int64,
    new_service: Int64,
) -> Float64:
    """Features of W closed windows.

    Args:
        records: Records of the windows, window by window.
        starts: (W,) first record of each window.
        idle_us: (W,) silence of the endpoint before the window.
        remotes: Distinct remote addresses per window.
        new_remote: (W,) packets with a remote that is new to the endpoint.
        new_service: (W,) packets with a (remote, service) pair that is new to the endpoint.

    Returns:
        (W, len(EDGE_V1.features)) float64.
    """
    windows = len(starts)
    packets = np.diff(starts, append=len(records))
    window = np.repeat(np.arange(windows), packets)
    counts = count(records.traits, starts)

    def share(name: str) -> Float64:
        return counts[:, BIT[name]] / packets

    columns: dict[str, Float64 | Int64] = {
        "packets": packets,
        "up_packet_share": share("up"),
        **_sizes(records, starts, packets, counts[:, BIT["up"]].astype(np.int64)),
        **_timing(records.clock_us, starts, packets),
        **{f"{name}_share": share(name) for name in _SHARES},
        "rst_share": share("rst_out"),
        "syn_unanswered_share": _unanswered(counts) / packets,
        "remotes": remotes.distinct(windows),
        "top_remote_share": remotes.most(windows)[0] / packets,
        **_ports(records, window, windows),
        "new_remote_share": new_remote / packets,
        "new_service_share": new_service / packets,
        **_spoofing(records, window, starts, counts, packets),
        **_dns(records, window, starts, counts, packets),
        "idle_before_s": np.minimum(idle_us, MAX_IDLE_US) / 1e6,
    }
    return np.column_stack([columns[name] for name in EDGE_V1.columns]).astype(np.float64)


_SHARES = (
    *("udp", "icmp", "arp", "other", "fragment", "malformed", "unreachable"),
    *("syn", "fin", "rst_in", "odd_flags", "login"),
    *SERVICES,
    "dns_nxdomain",
    "dns_txt",
    "mqtt_connect",
    "mqtt_refused",
    "mqtt_subscribe",
    "mqtt_malformed",
    "tls_alert",
    "modbus_write",
    "coap_error",
)


def _unanswered(counts: UInt8) -> Int64:
    """SYNs beyond the SYN-ACKs of the opposite direction."""

    def of(name: str) -> Int64:
        return counts[:, BIT[name]].astype(np.int64)

    sent = np.maximum(of("syn_up") - of("synack_down"), 0)
    return sent + np.maximum(of("syn_down") - of("synack_up"), 0)


def _sizes(records: Pool, starts: Int64, packets: Int64, sent: Int64) -> dict[str, Float64]:
    """Mean, spread and extremes of packet sizes by direction."""
    up = (records.traits & np.uint64(1)).astype(bool)
    size = records.size.astype(np.int64)
    up_size, down_size = np.where(up, size, 0), np.where(up, 0, size)
    up_min = np.minimum.reduceat(np.where(up, size, _NO_MIN), starts)
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
    gap = np.diff(clock_us, prepend=clock_us[:1])
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


def _ports(records: Pool, window: Int64, windows: int) -> dict[str, Int64]:
    """Distinct ports on either side."""
    ported = has(records.traits, "ported")
    return {
        name: _distinct(window[ported], port[ported].astype(np.int64), windows)
        for name, port in (("remote_ports", records.remote_port), ("local_ports", records.local_port))
    }


def _distinct(window: Int64, value: Int64, windows: int) -> Int64:
    """(W,) distinct 16-bit values per window."""
    key = (window << 16) | value
    key.sort()
    return np.bincount(key[is_first(key)] >> 16, minlength=windows)


def _spoofing(
    records: Pool, window: Int64, starts: Int64, counts: UInt8, packets: Int64
) -> dict[str, Float64 | Int64]:
    """ARP that nobody asked for or that contradicts itself, and mixed TTLs."""
    asked = counts[:, BIT["arp_ask_up"]].astype(np.int64)
    told = counts[:, BIT["arp_tell_down"]].astype(np.int64)
    received = (records.ttl > 0) & ~has(records.traits, "up")
    highest = np.maximum.reduceat(np.where(received, records.ttl, 0), starts)
    lowest = np.minimum.reduceat(np.where(received, records.ttl, 255), starts)
    return {
        "arp_unasked_share": np.maximum(told - asked, 0) / packets,
        "arp_conflicts": _arp_conflicts(records, window, len(starts)),
        "ttl_spread": np.maximum(highest.astype(np.int64) - lowest, 0),
    }


def _arp_conflicts(records: Pool, window: Int64, windows: int) -> Int64:
    """Distinct (address, MAC) claims beyond the distinct addresses, among ARP packets."""
    arp = np.flatnonzero(has(records.traits, "arp") & (records.arp_mac != 0))
    if not len(arp):
        return np.zeros(windows, np.int64)
    sent = has(records.traits[arp], "up")
    address = np.where(sent, records.own_lo[arp], records.remote_lo[arp]).astype(np.int64) & 0xFFFF_FFFF
    claims = np.unique(np.stack([window[arp], address, records.arp_mac[arp].astype(np.int64)]), axis=1)
    addresses = np.unique(claims[:2], axis=1)
    return np.bincount(claims[0], minlength=windows) - np.bincount(addresses[0], minlength=windows)


def _dns(records: Pool, window: Int64, starts: Int64, counts: UInt8, packets: Int64) -> dict[str, Float64 | Int64]:
    """Name lengths, and answers to a transaction that already had one."""
    query = _where(records.traits, "dns_query")
    name_len = np.bincount(window[query], weights=records.dns_name_len[query], minlength=len(starts))
    answer = _where(records.traits, "dns_response")
    transaction = (window[answer] << 16) | records.dns_id[answer].astype(np.int64)
    distinct = np.unique(transaction) >> 16
    answers = np.bincount(window[answer], minlength=len(starts))
    return {
        "dns_name_len": name_len / np.maximum(counts[:, BIT["dns_query"]], 1),
        "dns_double_answers": answers - np.bincount(distinct, minlength=len(starts)),
    }


def _where(traits: UInt64, name: str) -> Int64:
    return np.flatnonzero(has(traits, name))


__all__ = ["Runs", "edge_features", "runs"]
