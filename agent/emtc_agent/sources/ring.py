"""A live interface: an AF_PACKET ring (TPACKET_V3) that the kernel fills and numpy reads.

The kernel cuts packets to ``snaplen`` and writes them into blocks of shared memory; full blocks, and after
``retire_ms`` also others, are handed over. They are copied out at once and given back, so a slow consumer delays
nobody until the whole ring is full. See packet(7) and the kernel's Documentation/networking/packet_mmap.rst.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import socket
from dataclasses import dataclass
from struct import Struct, pack, unpack, unpack_from

import numpy as np

from emtc_agent.packets import GUARD_BYTES, Int64, PacketBatch
from emtc_agent.sources.bpf import Pair, program
from emtc_contract.errors import CaptureError

_SOL_PACKET = 263
_ADD_MEMBERSHIP, _RX_RING, _STATISTICS, _VERSION = 1, 5, 6, 10
_TPACKET_V3 = 2
_PROMISCUOUS = 1
_ATTACH_FILTER = 26
_EVERY_PROTOCOL = 3
_GET_HARDWARE_ADDRESS = 0x8927  # SIOCGIFHWADDR
_FRAME_BYTES = 2_048  # only has to divide a block; packets take what they need

_ETHERNET, _RAW_IP = 1, 101
_LINKTYPES = {1: _ETHERNET, 772: _ETHERNET, 512: _RAW_IP, 519: _RAW_IP, 65534: _RAW_IP}
"""ARPHRD_ (Ethernet, loopback, PPP, raw IP of modems, TUN) -> LINKTYPE_."""

_OWNED_BY_USER = 1
_STATUS_AT, _PACKETS_AT, _FIRST_AT, _USED_AT = 8, 12, 16, 20  # in a block
_HEADER = np.dtype(
    {
        "names": ["seconds", "nanoseconds", "captured", "wire", "link_at"],
        "formats": ["=u4", "=u4", "=u4", "=u4", "=u2"],
        "offsets": [4, 8, 12, 16, 24],
        "itemsize": 28,
    }
)
"""``tpacket3_hdr``; its first word says how far the next one is."""
_NEXT = Struct("=I").unpack_from
_FEW_BLOCKS = 8
"""Up to which walking packet by packet beats walking all blocks in step."""


class InterfaceMissingError(CaptureError):
    """There is no interface of that name (yet)."""


@dataclass(frozen=True, slots=True)
class RingConfig:
    """Sizes of a ring.

    Attributes:
        block_bytes: Bytes of a block, a multiple of the page size.
        blocks: Blocks of the ring; together they are the memory the kernel may fill while we are busy.
        retire_ms: After which a block is handed over although it is not full.
        snaplen: Bytes kept of each packet: headers, also inside GTP-U, and the first bytes of the payload.
        most_blocks: Blocks read at once.
        promiscuous: Also take packets that are not for this host.
    """

    block_bytes: int = 1 << 16
    blocks: int = 128
    retire_ms: int = 50
    snaplen: int = 128
    most_blocks: int = 24
    promiscuous: bool = True


class PacketRing:
    """Captures on one interface; close it when done.

    Args:
        interface: Its name.
        config: Sizes.

    Attributes:
        interface: As given; it may have been renamed since.
        linktype: LINKTYPE_ of its packets.
        dropped: Packets that found no room in the ring.
        freezes: Times the ring was full.

    Raises:
        CaptureError: No such interface, an interface of an unknown kind, or no permission.
    """

    def __init__(self, interface: str, config: RingConfig | None = None) -> None:
        self.interface = interface
        self.dropped = self.freezes = 0
        self._config = config or RingConfig()
        self._socket = _open(interface)
        try:
            self.linktype = _linktype(self._socket, interface)
            self._index = socket.if_nametoindex(interface)
            self._ring = self._map()
        except OSError as error:
            self._socket.close()
            raise CaptureError(f"interface {interface}: {error.strerror}") from None
        except CaptureError:
            self._socket.close()
            raise
        size, blocks = self._config.block_bytes, self._config.blocks
        self._octets = np.frombuffer(self._ring, np.uint8)
        self._status, self._packets, self._first, self._used = (
            np.ndarray((blocks,), "=u4", buffer=self._ring, offset=at, strides=(size,))
            for at in (_STATUS_AT, _PACKETS_AT, _FIRST_AT, _USED_AT)
        )
        self._cursor = 0
        self._copy = np.zeros(self._config.most_blocks * size + GUARD_BYTES, np.uint8)

    def _map(self) -> mmap.mmap:
        """Make the ring, then listen: before it is bound the socket gets nothing."""
        config, channel = self._config, self._socket
        channel.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V3)
        self.leave_out(None)
        size = config.block_bytes * config.blocks
        frames = size // _FRAME_BYTES
        request = pack("=7I", config.block_bytes, config.blocks, _FRAME_BYTES, frames, config.retire_ms, 0, 0)
        channel.setsockopt(_SOL_PACKET, _RX_RING, request)
        ring = mmap.mmap(channel.fileno(), size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        channel.bind((self.interface, _EVERY_PROTOCOL))
        if config.promiscuous:
            member = pack("=iHH8s", self._index, _PROMISCUOUS, 0, b"")
            channel.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, member)
        return ring

    def leave_out(self, connection: Pair | None) -> None:
        """Cut packets in the kernel, and leave out those of one TCP connection (or of none)."""
        octets = program(self._config.snaplen, ethernet=self.linktype == _ETHERNET, without=connection)
        steps = ctypes.create_string_buffer(octets, len(octets))
        self._socket.setsockopt(
            socket.SOL_SOCKET, _ATTACH_FILTER, pack("HP", len(octets) // 8, ctypes.addressof(steps))
        )

    def fileno(self) -> int:
        """For ``select.poll``: readable when a block is ready."""
        return self._socket.fileno()

    def read(self) -> PacketBatch | None:
        """The packets of the blocks that are ready, valid until the next call; None if there are none."""
        blocks = self._ready()
        if not len(blocks):
            return None
        size = self._config.block_bytes
        used = self._used[blocks].astype(np.int64)
        base = np.cumsum(used) - used
        for block, at, length in zip(blocks.tolist(), base.tolist(), used.tolist(), strict=True):
            self._copy[at : at + length] = self._octets[block * size : block * size + length]
        header_at = self._headers(base + self._first[blocks], self._packets[blocks].astype(np.int64))
        self._status[blocks] = 0  # back to the kernel
        self._cursor = (self._cursor + len(blocks)) % self._config.blocks
        return self._batch(header_at)

    def _ready(self) -> Int64:
        """Blocks that are ours, in the order in which they were filled."""
        most = min(self._config.most_blocks, self._config.blocks)
        following = (self._cursor + np.arange(most)) % self._config.blocks
        ours = (self._status[following] & _OWNED_BY_USER) != 0
        return following if ours.all() else following[: int(ours.argmin())]

    def _headers(self, first: Int64, packets: Int64) -> Int64:
        """Where each packet's header is in the copy, given where each block's first one is."""
        if len(first) <= _FEW_BLOCKS:
            found = []
            for at, number in zip(first.tolist(), packets.tolist(), strict=True):
                for _ in range(number):
                    found.append(at)
                    at += _NEXT(self._copy.data, at)[0]
            return np.array(found, np.int64)
        words = np.ndarray((len(self._copy) - 3,), "=u4", buffer=self._copy, strides=(1,))
        at = first
        steps = [at]
        for _ in range(int(packets.max()) - 1):
            at = np.minimum(at + words[at], len(words) - 1)
            steps.append(at)
        by_block = np.stack(steps, axis=1)
        return by_block[np.arange(by_block.shape[1]) < packets[:, None]]

    def _batch(self, at: Int64) -> PacketBatch:
        rows = np.ndarray((len(self._copy) - _HEADER.itemsize + 1,), f"V{_HEADER.itemsize}", self._copy, strides=(1,))
        header = rows[at].view(_HEADER)
        captured = header["captured"].astype(np.int64)
        return PacketBatch(
            data=self._copy,
            start=at + header["link_at"],
            cap_len=captured,
            wire_len=np.maximum(header["wire"].astype(np.int64), captured),
            ts_us=header["seconds"].astype(np.int64) * 1_000_000 + header["nanoseconds"] // 1_000,
            linktype=np.full(len(at), self.linktype, np.uint16),
        )

    def clear_error(self) -> None:
        """Take the error of an interface that went down off the socket; it goes on when that is up again."""
        self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def is_gone(self) -> bool:
        """Whether the interface has been removed; one that is down or renamed has not."""
        try:
            socket.if_indextoname(self._index)
        except OSError:
            return True
        return False

    def count_losses(self) -> None:
        """Bring ``dropped`` and ``freezes`` up to date."""
        _, dropped, freezes = unpack("=3I", self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 12))
        self.dropped += dropped
        self.freezes += freezes

    def close(self) -> None:
        """Stop capturing."""
        self._socket.close()


def _open(interface: str) -> socket.socket:
    try:
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError:
        raise CaptureError(f"interface {interface}: capturing needs CAP_NET_RAW (or root)") from None
    except OSError as error:
        raise CaptureError(f"interface {interface}: {error.strerror}") from None


def _linktype(channel: socket.socket, interface: str) -> int:
    """What a packet of the interface begins with."""
    try:
        answer = fcntl.ioctl(channel, _GET_HARDWARE_ADDRESS, pack("16s24x", interface.encode()[:15]))
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
        known = ", ".join(name for _, name in socket.if_nameindex())
        raise InterfaceMissingError(
            f"interface {interface}: there is none of that name (there are {known})"
        ) from None
    kind = int(unpack_from("=H", answer, 16)[0])
    if kind not in _LINKTYPES:
        raise CaptureError(f"interface {interface}: is neither Ethernet nor raw IP (hardware type {kind})")
    return _LINKTYPES[kind]
