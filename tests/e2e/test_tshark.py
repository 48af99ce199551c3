"""Every packet of every real capture reads as tshark reads it, but for the differences listed here.

Why each of them is right: docs/decisions/010-where-we-differ-from-tshark.md.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import pytest

import tshark
from emtc_agent.columns import Mark, Other, decode
from emtc_agent.sources import open_capture
from emtc_contract.errors import CaptureError
from support import SHARED, needs_shared
from tshark_columns import COMPARED_MARKS, FIELDS, NAMES, tshark_columns

pytestmark = [needs_shared, tshark.needs_tshark, pytest.mark.shared]
CAPTURES = SHARED / "data" / "pcap"
MEASURED_WITH = "4.0"
# Wireshark's own number of each LINKTYPE_ in the captures; those of the second line we do not decode.
ENCAP_TYPES = {0: 15, 1: 1, 9: 4, 101: 7, 113: 25, 228: 129, 229: 130, 276: 210}
ENCAP_TYPES |= {8: 3, 104: 28, 105: 20, 127: 23, 129: 9, 195: 104}  # SLIP, HDLC, 802.11 (2), ARCnet, 802.15.4
TCP, UDP, AUTHENTICATION_HEADER = 6, 17, 51


class Why(Enum):
    """Kinds of differences."""

    LINK = "a link type that we do not decode"
    ENCAPSULATION = "IP behind Ethernet inside MPLS or a FabricPath header, which we do not step over"
    AUTHENTICATION = "IPv4 with an authentication header: the protocol for us, stepped over by tshark"
    ARP = "ARP for other than IPv4 over Ethernet: tshark prints its fields, we only count it"
    ARP_OPCODE = "an ARP operation beyond 255: our column is a byte and keeps 255"
    TCP_HEADER = "a TCP data offset below 5: tshark prints the ports, we do not believe them"
    BEYOND_FRAME = "a TCP packet longer than its frame (or GTP-U fragment): we go by its header, tshark by the frame"
    DATAGRAM = "a UDP length beyond this packet: tshark prints it, we count what belongs to this packet"
    OFFLOAD = "an IP length of 0 for more than 65,535 bytes: tshark 4.0 stops, we take the frame's"


DIFFERENCES: dict[Why, dict[str, int]] = {
    Why.LINK: {
        "the-tcpdump-group_tcpdump/tests__arcnet-rfc1051-arp-icmp-http.pcap": 26,
    },
    Why.ENCAPSULATION: {
        "appneta_tcpreplay/test__test.pcap": 10,
        "ntop_nDPI/ajp.pcap": 12,
    },
    Why.AUTHENTICATION: {
        "ntop_nDPI/ah.pcapng": 1,
    },
    Why.ARP: {
        "ntop_nDPI/fuzz-2006-06-26-2594.pcap": 5,
        "the-tcpdump-group_tcpdump/tests__arp-oobr.pcap": 258,
        "zeek_zeek/arp-leak.pcap": 6,
    },
    Why.ARP_OPCODE: {
        "ntop_nDPI/fuzz-2006-06-26-2594.pcap": 1,
        "the-tcpdump-group_tcpdump/tests__arp-oobr.pcap": 42,
    },
    Why.TCP_HEADER: {
        "ntop_nDPI/fuzz-2006-06-26-2594.pcap": 1,
        "ntop_nDPI/fuzz-2006-09-29-28586.pcap": 1,
        "ntop_nDPI/ip_fragmented_garbage.pcap": 4,
        "ntop_nDPI/kerberos_fuzz.pcapng": 1,
        "ntop_nDPI/reasm_crash_anon.pcapng": 1,
    },
    Why.BEYOND_FRAME: {
        "ITI_ICS-Security-Tools/pcaps__bro__modbus__fuzz-72.pcap": 2,
        "OISF_suricata-verify/tests__telnet__telnet-01__telnet.pcap": 5,
        "markofu_pcaps/PracticalPacketAnalysis__ppa-capture-files__telnet.pcap": 5,
        "ntop_nDPI/fuzz-2006-06-26-2594.pcap": 3,
        "ntop_nDPI/fuzz-2006-09-29-28586.pcap": 1,
        "ntop_nDPI/ndpi_match_string_subprotocol__error.pcapng": 1,
        "ntop_nDPI/reasm_crash_anon.pcapng": 8,
        "ntop_nDPI/telnet.pcap": 5,
        "ntop_nDPI/tls_invalid_reads.pcap": 1,
        "zeek_zeek/modbus__fuzz-72.pcap": 2,
        "zeek_zeek/tcp__reassembly.pcap": 5,
        "zeek_zeek/tunnels__gtp__gtp1_gn_normal_incl_fragmentation.pcap": 40,
        "zeek_zeek/tunnels__gtp__gtp2_different_udp_port.pcap": 42,
    },
    Why.DATAGRAM: {
        "StopDDoS_packet-captures/amp.dns.RRSIG.fragmented.pcap": 483,
        "ntop_nDPI/dns_fragmented.pcap": 7,
        "ntop_nDPI/fuzz-2006-06-26-2594.pcap": 25,
        "ntop_nDPI/fuzz-2020-02-16-11740.pcap": 17,
        "ntop_nDPI/quic-fuzz-overflow.pcapng": 1,
        "open5gs_open5gs/docs__assets__pcapng__volte.pcapng": 8,
        "seladb_PcapPlusPlus/Tests__ExamplesTest__pcap_examples__ip-frag.pcap": 309,
        "the-tcpdump-group_tcpdump/tests__snmp-heapoverflow-1.pcap": 1,
    },
    Why.OFFLOAD: {
        "the-tcpdump-group_tcpdump/tests__bigtcp-ipv4-geneve-ipv6.pcap": 1,
        "the-tcpdump-group_tcpdump/tests__bigtcp-ipv4-vxlan-ipv6.pcap": 1,
        "the-tcpdump-group_tcpdump/tests__bigtcp-ipv6-geneve-ipv4.pcap": 1,
        "the-tcpdump-group_tcpdump/tests__bigtcp-ipv6-vxlan-ipv4.pcap": 1,
        "the-tcpdump-group_tcpdump/tests__bigtcp-ipv6.pcap": 1,
    },
}


@dataclass(frozen=True)
class Difference:
    """A packet that reads differently: number in its file, and by column (ours, tshark's)."""

    number: int
    reason: Other
    marks: Mark
    proto: int
    wire_len: int
    columns: dict[str, tuple[int, int]]


def explain(one: Difference) -> Why | None:
    """The kind of a difference, by what both sides read; None if it is of no known kind."""
    kinds = {
        Why.LINK: one.reason is Other.UNKNOWN_LINKTYPE,
        Why.ENCAPSULATION: one.reason is Other.NOT_IP,
        Why.ARP: one.reason is Other.BAD_ARP,
        Why.TCP_HEADER: one.reason is Other.BAD_TRANSPORT and one.proto == TCP and Mark.TRANSPORT not in one.marks,
        Why.AUTHENTICATION: one.proto == AUTHENTICATION_HEADER and set(one.columns) == {"op"},
        Why.ARP_OPCODE: set(one.columns) == {"op"} and one.columns["op"][0] == 255 < one.columns["op"][1],
        Why.OFFLOAD: one.wire_len > 65_535 and one.reason is Other.DECODED,
        Why.BEYOND_FRAME: one.proto == TCP and _is_longer(one) and bool((Mark.TUNNEL | Mark.MALFORMED) & one.marks),
        Why.DATAGRAM: one.proto == UDP and _is_shorter(one) and bool((Mark.FRAGMENT | Mark.MALFORMED) & one.marks),
    }
    return next((kind for kind, holds in kinds.items() if holds), None)


def _is_longer(one: Difference) -> bool:
    ours, theirs = one.columns.get("payload_len", (0, 0))
    return len(one.columns) == 1 and ours > theirs


def _is_shorter(one: Difference) -> bool:
    ours, theirs = one.columns.get("payload_len", (0, 0))
    return len(one.columns) == 1 and ours < theirs


def agent_columns(file: Path) -> dict[str, np.ndarray]:
    """(N,) objects by the names that are compared, and all marks and reasons."""
    parts = []
    with open_capture(file) as reader:
        for batch in reader:
            columns = decode(batch)
            part = {name: getattr(columns, name) for name in columns.__slots__}
            for side in ("src", "dst"):
                part[side] = part[f"{side}_hi"].astype(object) << 64 | part[f"{side}_lo"].astype(object)
            part["marks"], part["all_marks"] = columns.marks & np.uint8(COMPARED_MARKS), columns.marks
            part["wire_len"], part["cap_len"] = batch.wire_len.copy(), batch.cap_len.copy()
            part["encap_type"] = np.array([ENCAP_TYPES.get(kind) for kind in batch.linktype.tolist()])
            parts.append(part)
    wanted = (*NAMES, "all_marks", "reason")
    return {name: np.concatenate([[], *(part[name].astype(object) for part in parts)]) for name in wanted}


def differences(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> list[Difference]:
    """The packets that read differently where tshark says anything."""
    differs = {name: (theirs[name] != ours[name]) & (theirs[name] != None) for name in NAMES}  # noqa: E711 - of arrays
    return [
        Difference(
            number=int(row) + 1,
            reason=Other(ours["reason"][row]),
            marks=Mark(ours["all_marks"][row]),
            proto=ours["proto"][row],
            wire_len=ours["wire_len"][row],
            columns={name: (ours[name][row], theirs[name][row]) for name in NAMES if differs[name][row]},
        )
        for row in np.flatnonzero(np.logical_or.reduce(list(differs.values())))
    ]


@pytest.fixture(scope="module")
def infos():
    """What capinfos says of the captures."""
    return tshark.capture_infos(sorted(path for path in CAPTURES.rglob("*") if path.is_file()))


def test_what_capinfos_takes_for_a_capture_is_one_for_us(infos):
    assert infos
    taken = {info.file for info in infos}
    for file in CAPTURES.rglob("*"):
        if file.is_file() and file not in taken:
            with pytest.raises(CaptureError):
                open_capture(file).close()


def test_every_packet_reads_as_tshark_reads_it(infos, tmp_path, capsys):
    found, unknown, packets = Counter(), [], 0
    for info, lines in tshark.read_fields(infos, FIELDS, tmp_path):
        name = str(info.file.relative_to(CAPTURES))
        ours = agent_columns(info.file)
        assert len(ours["l3"]) == len(lines), f"{name}: the number of packets"
        packets += len(lines)
        for one in differences(ours, tshark_columns(lines)):
            kind = explain(one)
            found[kind, name] += 1
            unknown += [(name, one)] if kind is None else []
    with capsys.disabled():
        sys.stdout.write(f"\n{packets} packets of {len(infos)} captures, {found.total()} differ from tshark's\n")
    version = tshark.version()
    by = f"tshark {version}" + ("" if version == MEASURED_WITH else f", but the table is for {MEASURED_WITH}")
    assert not unknown, f"unexplained ({by}): {unknown[:20]}"
    listed = {(kind, name): count for kind, files in DIFFERENCES.items() for name, count in files.items()}
    wrong = {key: (found[key], listed.get(key, 0)) for key in found | listed if found[key] != listed.get(key, 0)}
    assert not wrong, f"found and listed differ ({by}): {wrong}"
