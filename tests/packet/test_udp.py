"""UDP, field by field and against scapy."""

from __future__ import annotations

import pytest
from hypothesis import given

from aiotun.errors import PacketError
from aiotun.packet import UDP, UDPView, ones_sum, pseudo_sum

from . import strategies as s
from .oracle import Raw, inet, inet6

OCTETS = bytes.fromhex("12345678000c9abc") + b"body" + b"padding"

FIELDS = [
    ("src_port", 0x1234),
    ("dst_port", 0x5678),
    ("length", 12),
    ("checksum", 0x9ABC),
    ("payload", b"body"),
    ("payload_offset", 8),
]


@pytest.mark.parametrize(("name", "expected"), FIELDS)
def test_field(name: str, expected: object) -> None:
    """Every field is read from its place."""
    assert getattr(UDPView(OCTETS), name) == expected


@given(s.udp, s.pairs)
def test_round_trip(value: UDP, pair: tuple[s.Address, s.Address]) -> None:
    """Building and parsing, checksum verified, gives the same value over both IP versions."""
    assert UDP.parse(value.build(*pair), *pair) == value


@given(s.udp, s.addresses4, s.addresses4)
def test_scapy_agrees(value: UDP, src: s.Address, dst: s.Address) -> None:
    """Scapy builds the same bytes as we do over IPv4, checksum included."""
    other = inet.UDP(sport=value.src_port, dport=value.dst_port) / Raw(value.payload)
    octets = bytes(inet.IP(src=str(src), dst=str(dst), proto=17) / other)[20:]
    assert value.build(src, dst) == octets
    assert UDP.parse(octets, src, dst) == value


@given(s.udp, s.addresses6, s.addresses6)
def test_scapy_agrees_over_ipv6(value: UDP, src: s.Address, dst: s.Address) -> None:
    """Scapy builds the same bytes as we do over IPv6, and reads what we put there."""
    other = inet.UDP(sport=value.src_port, dport=value.dst_port) / Raw(value.payload)
    octets = bytes(inet6.IPv6(src=str(src), dst=str(dst), nh=17) / other)[40:]
    assert value.build(src, dst) == octets
    read = inet.UDP(octets)
    assert (read.sport, read.dport, bytes(read.payload)) == (value.src_port, value.dst_port, value.payload)


def zero_sum() -> UDP:
    """A datagram whose checksum computes to 0 between the sample addresses."""
    src, dst = bytes((10, 1, 2, 3)), bytes((10, 4, 5, 6))
    rest = pseudo_sum(src, dst, 17, 10) + ones_sum(b"\0\1\0\2\0\x0a")
    return UDP(1, 2, (0xFFFF - rest % 0xFFFF).to_bytes(2, "big"))


def test_a_computed_zero_is_sent_as_ones() -> None:
    """A checksum that computes to 0 stands as 0xffff in the header, and verifies."""
    octets = zero_sum().build(s.A4, s.B4)
    assert UDPView(octets).checksum == 0xFFFF
    assert UDP.parse(octets, s.A4, s.B4) == zero_sum()


def test_length_counts_without_padding() -> None:
    """Bytes beyond the length are no part of the datagram nor of its checksum."""
    assert UDP.parse(UDP(1, 2, b"body").build(s.A4, s.B4) + b"padding", s.A4, s.B4) == UDP(1, 2, b"body")


def test_wrong_checksum() -> None:
    """With addresses, a wrong checksum is a fault with a reason."""
    with pytest.raises(PacketError, match="UDP: checksum is 0x.{4}, wrong") as caught:
        UDP.parse(UDP(1, 2, b"body").build(s.A4, s.B4), s.A4, "10.9.9.9")
    assert caught.value.reason == "bad_checksum"


def test_checksum_of_half_a_datagram() -> None:
    """A datagram that is not all there does not verify."""
    assert not UDPView(UDP(1, 2, b"body").build(s.A4, s.B4)[:-1]).checksum_ok(b"\x0a\1\2\3", b"\x0a\4\5\6")
