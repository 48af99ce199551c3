"""The kernel filter leaves out one connection and nothing else: run by an interpreter, and (e2e) by the kernel."""

from struct import unpack_from

import pytest
from hypothesis import given
from hypothesis import strategies as st

import frames
from emtc_agent.sources.bpf import program

OWN, BROKER = ("10.99.0.1", 43_210), ("203.0.113.7", 8_883)
OWN6, BROKER6 = ("2001:db8::1", 43_210), ("2001:db8:1::7", 8_883)


def run(octets, packet):
    """Bytes that the filter keeps of a packet (kernel semantics: a load beyond the end drops it)."""
    accumulator = index = at = 0
    while True:
        code, yes, no, constant = unpack_from("=HBBI", octets, 8 * at)
        at += 1
        if code == 0x06:
            return min(constant, len(packet))
        if code == 0x15:
            at += yes if accumulator == constant else no
            continue
        if code == 0x35:
            at += yes if accumulator >= constant else no
            continue
        if code == 0x80:
            accumulator = len(packet)
            continue
        if code == 0x74:
            accumulator >>= constant
            continue
        size = {0x20: 4, 0x28: 2, 0x30: 1, 0x48: 2, 0xB1: 1}[code]
        where = constant + (index if code == 0x48 else 0)
        if where + size > len(packet):
            return 0
        loaded = int.from_bytes(packet[where : where + size], "big")
        if code == 0xB1:
            index = 4 * (loaded & 15)
        else:
            accumulator = loaded


def packet(source, target, *, ethernet, v6=False, kind=frames.tcp, options=b""):
    segment = kind(sport=source[1], dport=target[1])
    if v6:
        inner = frames.ipv6(segment, src=source[0], dst=target[0])
    else:
        inner = frames.ipv4(segment, src=source[0], dst=target[0], options=options)
    if not ethernet:
        return inner
    return frames.ether(inner, kind=frames.IPV6 if v6 else frames.IPV4)


@pytest.mark.parametrize("ethernet", [True, False])
@pytest.mark.parametrize(("own", "broker", "v6"), [(OWN, BROKER, False), (OWN6, BROKER6, True)])
def test_both_directions_of_the_connection_are_left_out_and_all_else_is_kept(ethernet, own, broker, v6):
    octets = program(64, ethernet=ethernet, without=(own, broker))
    other = (own[0], 43_211)
    far = ("203.0.113.8", 8_883) if not v6 else ("2001:db8:1::8", 8_883)
    make = {"ethernet": ethernet, "v6": v6}
    assert run(octets, packet(own, broker, **make)) == 0
    assert run(octets, packet(broker, own, **make)) == 0
    for source, target in ((other, broker), (broker, other), (own, far), (far, own), ((broker[0], own[1]), own)):
        assert run(octets, packet(source, target, **make)) > 0
    arp = frames.ether(frames.arp(1, 2, "10.0.0.1", 0, "10.0.0.2"), kind=0x0806) if ethernet else b"\x00" * 40
    assert run(octets, arp) > 0


def test_ports_are_found_behind_ip_options():
    octets = program(64, ethernet=True, without=(OWN, BROKER))
    assert run(octets, packet(OWN, BROKER, ethernet=True, options=b"\x01" * 8)) == 0


@given(st.binary(max_size=120), st.booleans())
def test_without_a_connection_every_packet_is_kept(octets, ethernet):
    assert run(program(64, ethernet=ethernet), octets) == min(64, len(octets))


@given(st.binary(max_size=120), st.booleans())
def test_other_packets_are_kept_however_short(octets, ethernet):
    assert run(program(64, ethernet=ethernet, without=(OWN, BROKER)), octets) == min(64, len(octets))


@given(st.integers(0, 57))
def test_our_own_packets_cut_short_are_kept(size):
    octets = packet(OWN, BROKER, ethernet=True)[:size]
    kept = run(program(64, ethernet=True, without=(OWN, BROKER)), octets)
    assert kept == (0 if size >= 38 else size)


def test_what_is_no_address_leaves_nothing_out():
    assert program(64, ethernet=True, without=(("host", 1), BROKER)) == program(64, ethernet=True)
    assert program(64, ethernet=True, without=(OWN6, BROKER)) == program(64, ethernet=True)
