"""Whether interfaces carry packets as they are on the wire, and whether they can be captured on."""

from __future__ import annotations

from emtc_agent.doctor.finding import Finding
from emtc_agent.doctor.links import LinkState, link_state
from emtc_agent.health.process import system_health
from emtc_agent.sources.ring import PacketRing, RingConfig
from emtc_contract.errors import CaptureError

_LEAST_MTU = 1_280  # IPv6: RFC 8200, section 5
_MOST_SHARE, _MOST_TRIED = 0.25, 0.5  # of the memory that is left, for rings
_LESS_MEMORY = "Lower ring_mib in [capture], or stop other programs."


def check_interface(interface: str) -> list[Finding]:
    """Whether it is there, up, connected, and gives packets as they came."""
    name = f"interface {interface}"
    try:
        state = link_state(interface)
    except CaptureError as error:
        fix = "Correct [capture] interfaces in the settings, or load the driver; `ip link` lists what there is."
        return [Finding(name, "problem", str(error).removeprefix(f"{name}: "), fix)]
    return [_carrier(name, interface, state), *_mtu(name, interface, state), *_merging(name, interface, state)]


def _carrier(name: str, interface: str, state: LinkState) -> Finding:
    if not state.up:
        return Finding(name, "problem", "is down", f"Bring it up: ip link set {interface} up.")
    if not state.running:
        fix = "Plug the cable in, connect the modem, or attach a port to the bridge."
        return Finding(name, "warning", "is up, but has no carrier", fix)
    return Finding(name, "ok", f"is up and has a carrier, MTU {state.mtu} bytes")


def _mtu(name: str, interface: str, state: LinkState) -> list[Finding]:
    if state.mtu >= _LEAST_MTU:
        return []
    fix = f"Raise it if the link allows that: ip link set {interface} mtu 1500."
    return [Finding(f"{name} MTU", "warning", f"{state.mtu} bytes are too few for IPv6", fix)]


def _merging(name: str, interface: str, state: LinkState) -> list[Finding]:
    if not state.merging:
        return []
    what = f"{' and '.join(state.merging)} on: packets are joined before they are seen, so sizes and rates are wrong"
    off = " ".join(f"{one} off" for one in state.merging)
    return [
        Finding(f"{name} offloads", "warning", what, f"Switch it off at every start: ethtool -K {interface} {off}.")
    ]


def check_ring(
    interface: str, config: RingConfig, rings: int = 1, available_bytes: int | None = None
) -> list[Finding]:
    """Whether a ring of the configured size can be opened.

    Args:
        interface: Where.
        config: Its size.
        rings: How many there will be in all.
        available_bytes: Memory that programs could still get; None asks the kernel.
    """
    name = f"ring {interface}"
    size_bytes = config.block_bytes * config.blocks
    available_bytes = system_health().available_bytes if available_bytes is None else available_bytes
    share = size_bytes * rings / available_bytes if available_bytes else 0.0
    if share > _MOST_TRIED:  # the kernel would end other programs to make room for it
        what = f"{_amount(rings, size_bytes, available_bytes)}: not tried"
        return [Finding(name, "problem", what, _LESS_MEMORY)]
    try:
        PacketRing(interface, config).close()
    except (CaptureError, MemoryError) as error:
        told = str(error).removeprefix(f"interface {interface}: ") or "out of memory"
        return [Finding(name, "problem", f"{size_bytes >> 20} MiB: cannot be opened: {told}", _ring_fix(told))]
    if share > _MOST_SHARE:
        return [Finding(name, "warning", _amount(rings, size_bytes, available_bytes), _LESS_MEMORY)]
    return [Finding(name, "ok", f"{size_bytes >> 20} MiB can be opened")]


def _amount(rings: int, size_bytes: int, available_bytes: int | None) -> str:
    return f"{rings} of {size_bytes >> 20} MiB are much for the {(available_bytes or 0) >> 20} MiB of memory left"


def _ring_fix(told: str) -> str:
    if "CAP_NET_RAW" in told:
        return "See capabilities above."
    if "memory" in told.lower():
        return _LESS_MEMORY
    return "Correct [capture] in the settings: interfaces carry Ethernet or raw IP."
