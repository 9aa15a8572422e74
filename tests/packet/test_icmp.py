"""ICMP, field by field and against scapy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given

from aiotun.errors import PacketError
from aiotun.packet import ICMP, ICMPv6, ICMPView, IPv4View

from . import strategies as s
from .oracle import Raw, inet

OCTETS = bytes.fromhex("0304123456789abc") + b"body"

FIELDS = [
    ("type", 3),
    ("code", 4),
    ("checksum", 0x1234),
    ("rest", 0x56789ABC),
    ("identifier", 0x5678),
    ("sequence", 0x9ABC),
    ("mtu", 0x9ABC),
    ("payload", b"body"),
    ("is_error", True),
    ("checksum_ok", False),
]


@pytest.mark.parametrize(("name", "expected"), FIELDS)
def test_field(name: str, expected: object) -> None:
    """Every field is read from its place."""
    assert getattr(ICMPView(OCTETS), name) == expected


@given(s.icmp)
def test_round_trip(value: ICMP) -> None:
    """Building and parsing, checksum verified, gives the same value."""
    assert ICMP.parse(value.build()) == value


@given(s.uint(16), s.uint(16), s.payloads)
def test_scapy_builds_the_same_echo(identifier: int, sequence: int, payload: bytes) -> None:
    """Scapy builds the same echo request as we do, and we read it."""
    octets = bytes(inet.ICMP(type=8, id=identifier, seq=sequence) / Raw(payload))
    value = ICMP.echo_request(identifier, sequence, payload)
    assert value.build() == octets
    assert ICMP.parse(octets) == value


def test_scapy_reads_our_error() -> None:
    """Scapy finds mtu and quoted packet in the error we built."""
    other = inet.ICMP(ICMP(3, 4, 1400, s.UDP4).build())
    assert (other.type, other.code, other.nexthopmtu, bytes(other.payload)) == (3, 4, 1400, s.UDP4)


@pytest.mark.parametrize("kind", range(0, 42))
def test_errors(kind: int) -> None:
    """Errors are the types RFC 1122 section 3.2.2 lists as such."""
    assert ICMPView(bytes((kind, 0)) + bytes(6)).is_error == (kind in (3, 4, 5, 11, 12))


def test_quoted() -> None:
    """The packet an error quotes can be read where it lies."""
    quoted = ICMPView(ICMP(11, 0, 0, s.UDP4).build()).quoted
    assert (quoted.src, quoted.partial_transport.offset) == (IPv4View(s.UDP4).src, 28)


@pytest.mark.parametrize("message", [ICMP, ICMPv6])
def test_echo_properties(message: type[ICMP] | type[ICMPv6]) -> None:
    """Identifier and sequence are the halves of the second word."""
    value = message.echo_reply(0x1234, 0x5678)
    assert (value.identifier, value.sequence, value.rest) == (0x1234, 0x5678, 0x12345678)


@pytest.mark.parametrize("make", [ICMP.echo_request, ICMP.echo_reply, ICMPv6.echo_request, ICMPv6.echo_reply])
@pytest.mark.parametrize(("halves", "name"), [((65536, 0), "identifier"), ((0, -1), "sequence")])
def test_echo_out_of_range(make: Callable[[int, int], object], halves: tuple[int, int], name: str) -> None:
    """An echo's numbers have 16 bits each, and cannot spill into each other."""
    with pytest.raises(PacketError, match=f"echo: {name} is .*, it must be 0 to 65535"):
        make(*halves)


def test_wrong_checksum() -> None:
    """A wrong checksum is a fault to parse() unless told otherwise."""
    with pytest.raises(PacketError, match="ICMP: checksum is 0x1234, wrong") as caught:
        ICMP.parse(OCTETS)
    assert caught.value.reason == "bad_checksum"
    assert ICMP.parse(OCTETS, verify=False).rest == 0x56789ABC
