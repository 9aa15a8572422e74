"""ICMPv6, field by field and against scapy."""

from __future__ import annotations

import pytest
from hypothesis import given

from aiotun.errors import PacketError
from aiotun.packet import ICMPv6, ICMPv6View, IPv6View

from . import strategies as s
from .oracle import inet6

OCTETS = bytes.fromhex("0204123456789abc") + b"body"

FIELDS = [
    ("type", 2),
    ("code", 4),
    ("checksum", 0x1234),
    ("rest", 0x56789ABC),
    ("identifier", 0x5678),
    ("sequence", 0x9ABC),
    ("mtu", 0x56789ABC),
    ("payload", b"body"),
    ("is_error", True),
]


@pytest.mark.parametrize(("name", "expected"), FIELDS)
def test_field(name: str, expected: object) -> None:
    """Every field is read from its place."""
    assert getattr(ICMPv6View(OCTETS), name) == expected


@given(s.icmpv6, s.addresses6, s.addresses6)
def test_round_trip(value: ICMPv6, src: s.Address, dst: s.Address) -> None:
    """Building and parsing, checksum verified, gives the same value."""
    assert ICMPv6.parse(value.build(src, dst), src, dst) == value


@given(s.uint(16), s.uint(16), s.payloads, s.addresses6, s.addresses6)
def test_scapy_builds_the_same_echo(
    identifier: int, sequence: int, payload: bytes, src: s.Address, dst: s.Address
) -> None:
    """Scapy builds the same echo request as we do, checksum included, and we read it."""
    other = inet6.ICMPv6EchoRequest(id=identifier, seq=sequence, data=payload)
    octets = bytes(inet6.IPv6(src=str(src), dst=str(dst)) / other)[40:]
    value = ICMPv6.echo_request(identifier, sequence, payload)
    assert value.build(src, dst) == octets
    assert ICMPv6.parse(octets, src, dst) == value


def test_scapy_reads_our_error() -> None:
    """Scapy finds mtu and quoted packet in the error we built."""
    other = inet6.ICMPv6PacketTooBig(ICMPv6(2, 0, 1280, s.UDP6).build(s.A6, s.B6))
    assert (other.type, other.mtu, bytes(other.payload)) == (2, 1280, s.UDP6)


@pytest.mark.parametrize(("kind", "error"), [(0, True), (1, True), (127, True), (128, False), (255, False)])
def test_errors(kind: int, error: bool) -> None:
    """Errors are the types with the high bit clear, RFC 4443 section 2.1."""
    assert ICMPv6View(bytes((kind, 0)) + bytes(6)).is_error == error


def test_quoted() -> None:
    """The packet an error quotes can be read where it lies."""
    quoted = ICMPv6View(ICMPv6(3, 0, 0, s.UDP6).build(s.A6, s.B6)).quoted
    assert (quoted.src, quoted.partial_transport.offset) == (IPv6View(s.UDP6).src, 48)


def test_wrong_checksum() -> None:
    """With addresses, a wrong checksum is a fault with a reason."""
    with pytest.raises(PacketError, match="ICMPv6: checksum is 0x1234, wrong") as caught:
        ICMPv6.parse(OCTETS, s.A6, s.B6)
    assert caught.value.reason == "bad_checksum"
