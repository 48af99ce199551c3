"""What the kernel says about an interface: netdevice(7) and <linux/ethtool.h>, by ioctl; needs no privileges.

Not from /sys/class/net, which shows the namespace it was mounted in.
"""

from __future__ import annotations

import errno
import fcntl
import socket
from ctypes import addressof, create_string_buffer
from dataclasses import dataclass
from struct import pack, unpack_from

from emtc_contract.errors import CaptureError

_FLAGS, _MTU, _ETHTOOL = 0x8913, 0x8921, 0x8946  # SIOCGIFFLAGS, SIOCGIFMTU, SIOCETHTOOL
_UP, _RUNNING = 0x1, 0x40
_GENERIC_RECEIVE, _FURTHER = 0x2B, 0x25  # ETHTOOL_GGRO, ETHTOOL_GFLAGS
_LARGE_RECEIVE = 1 << 15  # ETH_FLAG_LRO


@dataclass(frozen=True, slots=True)
class LinkState:
    """An interface.

    Attributes:
        up: Somebody has brought it up.
        running: It has a carrier.
        mtu: Bytes of the largest IP packet.
        merging: Offloads that are on and join received packets, as ``ethtool -K`` calls them.
    """

    up: bool
    running: bool
    mtu: int
    merging: tuple[str, ...]


def link_state(interface: str) -> LinkState:
    """Ask the kernel; raises CaptureError if there is no such interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        try:
            flags = unpack_from("=H", _ask(channel, _FLAGS, interface), 16)[0]
            mtu = unpack_from("=i", _ask(channel, _MTU, interface), 16)[0]
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
            known = ", ".join(name for _, name in socket.if_nameindex())
            raise CaptureError(f"interface {interface}: there is none of that name (there are {known})") from None
        merging = (
            ("gro", bool(_ethtool(channel, interface, _GENERIC_RECEIVE))),
            ("lro", bool(_ethtool(channel, interface, _FURTHER) & _LARGE_RECEIVE)),
        )
    return LinkState(bool(flags & _UP), bool(flags & _RUNNING), mtu, tuple(name for name, on in merging if on))


def _ask(channel: socket.socket, request: int, interface: str, argument: bytes = b"") -> bytes:
    return fcntl.ioctl(channel, request, pack("16s24s", interface.encode()[:15], argument))


def _ethtool(channel: socket.socket, interface: str, command: int) -> int:
    """The value that a driver answers; 0 where it knows no such thing."""
    value = create_string_buffer(pack("=II", command, 0), 8)
    try:
        _ask(channel, _ETHTOOL, interface, pack("P", addressof(value)))
    except OSError:
        return 0
    return int(unpack_from("=I", value, 4)[0])
