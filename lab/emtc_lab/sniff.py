"""A small header-only recorder: ``python -m emtc_lab.sniff INTERFACE SNAPLEN FILE``.

tcpdump cannot drop its privileges inside an unprivileged user namespace, so the lab brings its own: an
AF_PACKET socket with kernel time stamps, written as pcap, ended by SIGTERM; drops go to stdout.
"""

from __future__ import annotations

import signal
import socket
import struct
import sys
from pathlib import Path
from types import FrameType

from emtc_lab.verify import ETHERNET, FILE_HEADER, RAW_IP, RECORD_HEADER

_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_ADD_MEMBERSHIP, _PROMISCUOUS = 263, 6, 1, 1
_SO_TIMESTAMPNS = 35
_ARPHRD_ETHER = 1
_BUFFER_BYTES = 32 << 20


def open_socket(interface: str) -> socket.socket:
    """A promiscuous packet socket on an interface, with nanosecond time stamps."""
    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sniffer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    sniffer.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    index = socket.if_nametoindex(interface)
    membership = struct.pack("iHH8s", index, _PROMISCUOUS, 0, b"")
    sniffer.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
    sniffer.bind((interface, _ETH_P_ALL))
    return sniffer


def pcap_header(snaplen: int, linktype: int) -> bytes:
    """The file header of a pcap with microseconds."""
    return FILE_HEADER.pack(0xA1B2C3D4, 2, 4, 0, 0, snaplen, linktype)


def main(interface: str, snaplen: str, path: str) -> None:
    """Record until SIGTERM."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    limit = int(snaplen)
    with open_socket(interface) as sniffer, Path(path).open("wb") as file:
        is_ethernet = sniffer.getsockname()[3] == _ARPHRD_ETHER
        file.write(pcap_header(limit, ETHERNET if is_ethernet else RAW_IP))
        file.flush()
        print("listening", flush=True)  # noqa: T201 - the lab waits for this line
        buffer = bytearray(65_536)
        try:
            while True:
                size, control, _, _ = sniffer.recvmsg_into([buffer], 64)
                seconds, nanoseconds = struct.unpack("qq", control[0][2])
                kept = min(size, limit)
                file.write(RECORD_HEADER.pack(seconds, nanoseconds // 1000, kept, size))
                file.write(memoryview(buffer)[:kept])
        finally:
            statistics = sniffer.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
            print(f"dropped {struct.unpack('2I', statistics)[1]}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
