"""Fragments: what scapy puts together again is the packet, and what may not be cut is answered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packet.oracle import inet

from aiotun.packet import IPv4, IPv4View
from aiotun.stages import ICMPErrors, fragment

from .packets import HERE, Sink, header_ok, tcp, udp, wrap

ROUTER_ALERT = b"\x94\x04\0\0"
"""To be copied into every fragment."""
TIMESTAMP = b"\x44\x08\x05\0\0\0\0\0"
"""Not to be."""


def together(pieces: list[bytes]) -> bytes:
    """Put fragments together, by scapy."""
    (whole,) = inet.defragment([inet.IP(piece) for piece in reversed(pieces)])
    return bytes(whole)


@given(st.binary(min_size=1, max_size=3000), st.integers(68, 1500), st.integers(0, 0xFFFF))
def test_scapy_puts_them_together(payload: bytes, mtu: int, identification: int) -> None:
    """Whatever the size, no fragment is longer than the mtu, every header sums up, and the whole is the packet."""
    packet = udp(payload=payload, identification=identification)
    pieces = list(fragment(mtu)([packet]))
    assert max(map(len, pieces)) <= mtu
    assert all(map(header_ok, pieces))
    assert together(pieces) == packet


def test_the_fields() -> None:
    """Places count up in units of 8 bytes, and all but the last have more behind them."""
    views = [IPv4View(piece) for piece in fragment(100)([wrap(4, 17, bytes(200), identification=9, ttl=7, tos=3)])]
    assert [(v.fragment_offset, v.more_fragments, v.total_length) for v in views] == [
        (0, True, 100),
        (10, True, 100),
        (20, False, 60),
    ]
    assert {(v.identification, v.ttl, v.tos, v.protocol) for v in views} == {(9, 7, 3, 17)}


def test_options() -> None:
    """The first fragment has all options, the others the copied ones, padded."""
    packet = wrap(4, 17, bytes(200), options=b"\x01" + ROUTER_ALERT + TIMESTAMP + b"\x01\x00\x00")
    first, *others = fragment(100)([packet])
    assert IPv4View(first).options == IPv4View(packet).options
    assert {IPv4View(piece).options for piece in others} == {ROUTER_ALERT}
    assert b"".join(IPv4View(piece).payload for piece in (first, *others)) == bytes(200)
    assert all(map(header_ok, (first, *others)))


@pytest.mark.parametrize("options", [b"\x94\x00\0\0", b"\x94\x01\0\0", b"\x01\x01\x01\x94", b"\x94\x09\0\0"])
def test_options_that_cannot_be_told_apart(options: bytes) -> None:
    """A packet whose options overrun is not cut."""
    stage = fragment(100)
    assert (list(stage([wrap(4, 17, bytes(200), options=options)])), dict(stage.dropped)) == ([], {"bad_option": 1})


@pytest.mark.parametrize("more", [True, False])
def test_a_fragment_is_cut_again(more: bool) -> None:
    """The pieces of a fragment have their places in the datagram, and the last the more-fragments bit of the whole."""
    packet = wrap(4, 17, bytes(160), fragment_offset=100, more_fragments=more)
    views = [IPv4View(piece) for piece in fragment(100)([packet])]
    assert [(v.fragment_offset, v.more_fragments) for v in views] == [(100, True), (110, more)]


def test_df_is_answered() -> None:
    """A packet with DF is dropped, and its sender told."""
    back = Sink()
    stage = fragment(100, ICMPErrors(back, HERE[4]))
    assert (list(stage([udp(payload=bytes(200), dont_fragment=True)])), dict(stage.dropped)) == ([], {"too_big": 1})
    assert inet.IP(back.taken[0]).payload.nexthopmtu == 100


def test_ipv6_is_never_cut() -> None:
    """A router does not fragment IPv6: the sender is told."""
    back = Sink()
    stage = fragment(1280, ICMPErrors(back, HERE[6]))
    assert (list(stage([udp(6, bytes(1300))])), len(back.taken)) == ([], 1)


def test_a_wrong_header_is_not_made_right() -> None:
    """A packet whose header does not sum up is dropped, not given fragments that do."""
    packet = bytearray(udp(payload=bytes(200)))
    packet[8] ^= 1
    stage = fragment(100)
    assert (list(stage([bytes(packet)])), dict(stage.dropped)) == ([], {"bad_checksum": 1})


@pytest.mark.parametrize(
    ("at", "octet", "reason"), [(0, 0x44, "bad_ihl"), (2, 0xFF, "bad_length"), (3, 0, "bad_length")]
)
def test_a_header_without_sense(at: int, octet: int, reason: str) -> None:
    """A header that lies about its lengths is not cut by them."""
    packet = bytearray(udp(payload=bytes(200)))
    packet[at] = octet
    stage = fragment(100)
    assert (list(stage([bytes(packet)])), dict(stage.dropped)) == ([], {reason: 1})


def test_padding_is_cut_off() -> None:
    """A packet that is only longer by link-layer padding passes without it."""
    packet = udp(payload=bytes(60))
    assert list(fragment(len(packet))([packet + bytes(20)])) == [packet]


def test_what_is_created_is_counted() -> None:
    """Each fragment but one of a packet is counted as made here."""
    stage = fragment(100)
    assert (len(stage([udp(payload=bytes(200)), tcp()])), stage.created) == (4, 2)


def test_the_longest_packet_by_the_least_mtu() -> None:
    """65535 bytes in pieces of 68 are 1365 fragments."""
    packet = IPv4("10.0.0.1", "10.0.0.2", 17, bytes(65515)).build()
    pieces = list(fragment(68)([packet]))
    assert (len(pieces), b"".join(piece[20:] for piece in pieces)) == (1365, bytes(65515))
