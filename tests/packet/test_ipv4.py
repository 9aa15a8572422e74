"""IPv4, field by field and against scapy."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.errors import PacketError
from aiotun.packet import IPv4, IPv4View

from . import strategies as s
from .oracle import Raw, inet

# 24 bytes of header, no two fields alike; its checksum is scapy's.
HEADER = bytes.fromhex("46 b9 001c 1234 e123 3f 11 0000 0a010203 c0a80405 01020304".replace(" ", ""))
OCTETS = HEADER[:10] + inet.checksum(HEADER).to_bytes(2, "big") + HEADER[12:] + b"body"

FIELDS = [
    ("version", 4),
    ("ihl", 6),
    ("header_length", 24),
    ("tos", 0xB9),
    ("dscp", 0x2E),
    ("ecn", 1),
    ("total_length", 28),
    ("identification", 0x1234),
    ("reserved", True),
    ("dont_fragment", True),
    ("more_fragments", True),
    ("fragment_offset", 0x123),
    ("is_fragment", True),
    ("ttl", 63),
    ("protocol", 17),
    ("src_bytes", bytes((10, 1, 2, 3))),
    ("dst_bytes", bytes((192, 168, 4, 5))),
    ("src", IPv4Address("10.1.2.3")),
    ("dst", IPv4Address("192.168.4.5")),
    ("options", b"\1\2\3\4"),
    ("payload", b"body"),
    ("payload_offset", 24),
    ("packet_end", 28),
    ("available", 28),
    ("checksum", inet.checksum(HEADER)),
    ("checksum_ok", True),
]


@pytest.mark.parametrize(("name", "expected"), FIELDS)
def test_field(name: str, expected: object) -> None:
    """Every field is read from its place."""
    assert getattr(IPv4View(OCTETS), name) == expected


@pytest.mark.parametrize(("name", "expected"), FIELDS)
def test_field_at_an_offset(name: str, expected: Any) -> None:
    """Every field is read from its place behind other bytes."""
    shift = 14 if name in ("payload_offset", "packet_end") else 0
    assert getattr(IPv4View(b"\xff" * 14 + OCTETS, 14), name) == (expected + shift if shift else expected)


@given(s.ipv4)
def test_round_trip(value: IPv4) -> None:
    """Building and parsing gives the same value."""
    assert IPv4.parse(value.build()) == value


@given(s.ipv4, st.binary(max_size=30))
def test_nothing_is_lost(value: IPv4, padding: bytes) -> None:
    """Parsing and building gives the same bytes, without the padding."""
    octets = value.build()
    assert IPv4.parse(octets + padding).build() == octets


@given(s.ipv4.filter(lambda value: not value.options))
def test_scapy_reads_ours(value: IPv4) -> None:
    """Scapy finds in our bytes what we put there."""
    other = inet.IP(value.build())
    assert (other.src, other.dst, other.proto, other.ttl, other.tos) == (
        str(value.src),
        str(value.dst),
        value.protocol,
        value.ttl,
        value.tos,
    )
    flags = value.reserved << 2 | value.dont_fragment << 1 | value.more_fragments
    assert (other.id, int(other.flags), other.frag) == (value.identification, flags, value.fragment_offset)
    assert other.len == 20 + len(value.payload)


@given(s.ipv4)
def test_scapy_computes_our_checksum(value: IPv4) -> None:
    """Scapy computes the header checksum we do, options included."""
    octets = value.build()
    other = inet.IP(octets)
    header = octets[: other.ihl * 4]
    assert inet.checksum(header) == 0


@given(s.ipv4.filter(lambda value: not value.options))
def test_we_read_scapys(value: IPv4) -> None:
    """We find in scapy's bytes what it put there, and build the same bytes."""
    other = inet.IP(
        src=str(value.src),
        dst=str(value.dst),
        proto=value.protocol,
        ttl=value.ttl,
        tos=value.tos,
        id=value.identification,
        flags=value.reserved << 2 | value.dont_fragment << 1 | value.more_fragments,
        frag=value.fragment_offset,
    ) / Raw(value.payload)
    octets = bytes(other)
    assert IPv4.parse(octets) == value
    assert value.build() == octets


def test_checksum_ok() -> None:
    """A header with its checksum verifies, and with any bit changed it does not."""
    good = IPv4("10.0.0.1", "10.0.0.2", 17).build()
    assert IPv4View(good).checksum_ok
    for i in range(160):
        bad = bytearray(good)
        bad[i // 8] ^= 1 << i % 8
        assert not IPv4View(bad).checksum_ok, i


def test_verify() -> None:
    """A wrong header checksum is a fault to parse(), with both the field and the reason told."""
    bad = bytearray(s.UDP4)
    bad[10:12] = b"\x12\x34"
    with pytest.raises(PacketError, match="IPv4: header checksum is 0x1234, wrong") as caught:
        IPv4.parse(bad)
    assert caught.value.reason == "bad_checksum"


def test_no_verify() -> None:
    """A wrong header checksum is left alone on request."""
    bad = bytearray(s.UDP4)
    bad[10:12] = b"\x12\x34"
    assert IPv4.parse(bad, verify=False) == IPv4.parse(s.UDP4)


def test_payload_is_bounded_by_the_buffer() -> None:
    """A total length beyond the buffer gives the payload that is there."""
    assert IPv4View(OCTETS[:26]).payload == b"bo"


def test_payload_of_a_lying_header() -> None:
    """A header length beyond the total length gives no payload."""
    assert IPv4View(b"\x4f\0\0\x14" + bytes(80)).payload == b""


def test_transport() -> None:
    """The transport of a whole packet is behind its header."""
    assert IPv4View(s.TCP4).transport == (6, 20, len(s.TCP4), "")


def test_transport_of_a_quote() -> None:
    """The transport of a packet at an offset is at an offset of the buffer."""
    assert IPv4View(b"\xff" * 8 + s.TCP4 + b"pad", 8).transport == (6, 28, 8 + len(s.TCP4), "")
