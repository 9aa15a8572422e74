"""IPv6, field by field and against scapy."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.errors import PacketError
from aiotun.packet import IPv6, IPv6View

from . import strategies as s
from .oracle import Raw, inet6

SRC = bytes(range(0x20, 0x30))
DST = bytes(range(0x30, 0x40))
OCTETS = bytes.fromhex("6b912345 0004 11 3f".replace(" ", "")) + SRC + DST + b"body"

FIELDS = [
    ("version", 6),
    ("traffic_class", 0xB9),
    ("dscp", 0x2E),
    ("ecn", 1),
    ("flow_label", 0x12345),
    ("payload_length", 4),
    ("next_header", 17),
    ("hop_limit", 63),
    ("src_bytes", SRC),
    ("dst_bytes", DST),
    ("src", IPv6Address(SRC)),
    ("dst", IPv6Address(DST)),
    ("payload", b"body"),
    ("payload_offset", 40),
    ("packet_end", 44),
    ("transport", (17, 40, 44, "")),
]


@pytest.mark.parametrize(("name", "expected"), FIELDS)
def test_field(name: str, expected: object) -> None:
    """Every field is read from its place."""
    assert getattr(IPv6View(OCTETS), name) == expected


@pytest.mark.parametrize(("name", "expected"), [row for row in FIELDS if row[0] != "transport"])
def test_field_at_an_offset(name: str, expected: Any) -> None:
    """Every field is read from its place behind other bytes."""
    shift = 14 if name in ("payload_offset", "packet_end") else 0
    assert getattr(IPv6View(b"\xff" * 14 + OCTETS, 14), name) == (expected + shift if shift else expected)


@given(s.ipv6)
def test_round_trip(value: IPv6) -> None:
    """Building and parsing gives the same value."""
    assert IPv6.parse(value.build()) == value


@given(s.ipv6, st.binary(max_size=30))
def test_nothing_is_lost(value: IPv6, padding: bytes) -> None:
    """Parsing and building gives the same bytes, without the padding."""
    octets = value.build()
    assert IPv6.parse(octets + padding).build() == octets


@given(s.ipv6)
def test_scapy_reads_ours(value: IPv6) -> None:
    """Scapy finds in our bytes what we put there."""
    other = inet6.IPv6(value.build()[:40])  # the header alone: scapy fails over a routing header that is cut short
    assert (IPv6Address(other.src), IPv6Address(other.dst)) == (value.src, value.dst)
    assert (other.nh, other.hlim, other.tc, other.fl) == (
        value.next_header,
        value.hop_limit,
        value.traffic_class,
        value.flow_label,
    )
    assert other.plen == len(value.payload)


@given(s.ipv6)
def test_we_read_scapys(value: IPv6) -> None:
    """We find in scapy's bytes what it put there, and build the same bytes."""
    other = inet6.IPv6(
        src=str(value.src),
        dst=str(value.dst),
        nh=value.next_header,
        hlim=value.hop_limit,
        tc=value.traffic_class,
        fl=value.flow_label,
    ) / Raw(value.payload)
    octets = bytes(other)
    assert IPv6.parse(octets) == value
    assert value.build() == octets


def test_no_payload_under_hop_by_hop() -> None:
    """A value does not announce a jumbogram."""
    with pytest.raises(PacketError, match="hop-by-hop options are announced, the payload is empty") as caught:
        IPv6("fd00::1", "fd00::2", 0)
    assert caught.value.reason == "jumbo"


def test_no_payload_at_all() -> None:
    """A packet that ends with its fixed header is a packet."""
    assert IPv6.parse(IPv6("fd00::1", "fd00::2", 59).build()).payload == b""
