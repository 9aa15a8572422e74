"""The walk over IPv6 extension headers, and the fragment header."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiotun.errors import PacketError
from aiotun.packet import (
    MAX_EXTENSION_BYTES,
    MAX_EXTENSION_HEADERS,
    Fragment,
    FragmentView,
    IPv6,
    IPv6View,
    Protocol,
    Transport,
    walk_extensions,
)

from . import strategies as s
from .oracle import Raw, inet6

HOP, ROUTE, FRAG, AH, DEST = 0, 43, 44, 51, 60


def header(next_header: int, units: int = 0) -> bytes:
    """An extension header of *units* times 8 bytes beyond the first 8, all padding options."""
    return bytes((next_header, units)) + bytes(6 + 8 * units)


def walk(next_header: int, *headers: bytes) -> Transport:
    """Walk the headers, all in one buffer from its start."""
    octets = b"".join(headers)
    return walk_extensions(octets, next_header, 0, len(octets))


@pytest.mark.parametrize("protocol", [4, 6, 17, 33, 41, 47, 50, 58, 89, 132, 136])
def test_no_extension(protocol: int) -> None:
    """A transport right behind the fixed header is found there."""
    assert walk(protocol, b"body") == (protocol, 0, 4, "")


@pytest.mark.parametrize("extension", [HOP, ROUTE, DEST, 135, 139, 140])
def test_one_extension(extension: int) -> None:
    """A transport behind one extension header is found, whatever header that is."""
    assert walk(extension, header(17, 1), b"body") == (17, 16, 20, "")


def test_authentication_header() -> None:
    """An authentication header counts its length in words of 4 bytes."""
    assert walk(AH, bytes((17, 4)) + bytes(22), b"body") == (17, 24, 28, "")


def test_routing_header_that_has_arrived() -> None:
    """A routing header with no segments left is passed over."""
    assert walk(ROUTE, bytes((6, 2, 0, 0)) + bytes(20), b"body") == (6, 24, 28, "")


def test_routing_header_under_way() -> None:
    """With segments left the transport is not to be read: its checksum is for another destination."""
    assert walk(ROUTE, bytes((6, 2, 0, 1)) + bytes(20), b"body") == (None, 0, 28, "routing")


def test_as_many_as_allowed() -> None:
    """Eight headers are looked through."""
    chain = [header(DEST)] * (MAX_EXTENSION_HEADERS - 1) + [header(17)]
    assert walk(DEST, *chain).protocol == 17


def test_one_too_many() -> None:
    """Nine headers are not."""
    chain = [header(DEST)] * MAX_EXTENSION_HEADERS + [header(17)]
    assert walk(DEST, *chain).reason == "too_many_headers"


def test_as_long_as_allowed() -> None:
    """Headers of 512 bytes together are looked through."""
    assert walk(DEST, header(17, MAX_EXTENSION_BYTES // 8 - 1), b"body").offset == MAX_EXTENSION_BYTES


def test_eight_bytes_too_long() -> None:
    """Headers of 520 bytes together are not."""
    assert walk(DEST, header(17, MAX_EXTENSION_BYTES // 8), b"body").reason == "too_many_headers"


@given(s.hostile, st.integers(0, 255), st.integers(0, 60))
@example(header(DEST) * 100, DEST, 0)
def test_bounded(octets: bytes, next_header: int, offset: int) -> None:
    """The walk ends within its bounds on any bytes, with a protocol or a reason."""
    found = walk_extensions(octets, next_header, offset, len(octets))
    assert offset <= found.offset <= offset + MAX_EXTENSION_BYTES
    assert (found.protocol is None) == bool(found.reason)


def test_an_end_beyond_the_buffer() -> None:
    """An end beyond the buffer is the end of the buffer."""
    assert walk_extensions(header(17)[:5], DEST, 0, 99) == (None, 0, 5, "truncated_header")


def test_scapy_chain() -> None:
    """The transport is found behind a chain that scapy built."""
    packet = bytes(
        inet6.IPv6(src="fd00::1", dst="fd00::2")
        / inet6.IPv6ExtHdrHopByHop()
        / inet6.IPv6ExtHdrDestOpt()
        / inet6.IPv6ExtHdrRouting(segleft=0, addresses=["fd00::9"])
        / inet6.UDP(sport=1, dport=2)
    )
    found = IPv6View(packet).transport
    assert (found.protocol, packet[found.offset : found.offset + 4]) == (17, b"\0\1\0\2")


def test_every_protocol_is_one_or_the_other() -> None:
    """Every number this room names is an extension header or a transport; ICMP is neither in IPv6."""
    reasons = {int(p): walk(p, header(6) + bytes(40)).reason for p in Protocol}
    assert [number for number, reason in reasons.items() if reason == "unknown_header"] == [Protocol.ICMP]


FIELDS = [
    ("next_header", 17),
    ("fragment_offset", 0x1234 >> 3),
    ("more_fragments", True),
    ("identification", 0x89ABCDEF),
    ("payload", b"12345678"),
    ("is_atomic", False),
]


@pytest.mark.parametrize(("name", "expected"), FIELDS)
def test_fragment_field(name: str, expected: object) -> None:
    """Every field of a fragment header is read from its place."""
    octets = bytes.fromhex("11ff123589abcdef") + b"12345678"
    assert getattr(FragmentView(octets), name) == expected


@given(s.fragment)
def test_fragment_round_trip(value: Fragment) -> None:
    """Building and parsing gives the same value."""
    assert Fragment.parse(value.build()) == value


@given(s.fragment)
def test_scapy_reads_our_fragment(value: Fragment) -> None:
    """Scapy finds in our bytes what we put there, and the other way round."""
    other = inet6.IPv6ExtHdrFragment(value.build())
    assert (other.nh, other.offset, bool(other.m), other.id) == (
        value.next_header,
        value.fragment_offset,
        value.more_fragments,
        value.identification,
    )
    made = inet6.IPv6ExtHdrFragment(nh=other.nh, offset=other.offset, m=other.m, id=other.id) / Raw(value.payload)
    assert Fragment.parse(bytes(made)) == value


def test_scapy_reassembles_our_fragments() -> None:
    """Scapy puts a datagram together from fragments we cut."""
    body = bytes(range(256)) * 4
    parts = [
        Fragment(253, body[at : at + 400], identification=7, fragment_offset=at // 8, more_fragments=at + 400 < 1024)
        for at in range(0, 1024, 400)
    ]
    packets = [inet6.IPv6(IPv6("fd00::1", "fd00::2", FRAG, part.build()).build()) for part in parts]
    assert bytes(inet6.defragment6(packets))[40:] == body


@pytest.mark.parametrize(
    ("payload", "changes", "text"),
    [
        (b"1234567", {"more_fragments": True}, "7 bytes, not the last, and no multiple of 8"),
        (bytes(16), {"fragment_offset": 8191}, "would end at 65544 bytes"),
    ],
)
def test_fragment_without_a_place(payload: bytes, changes: dict[str, int], text: str) -> None:
    """A fragment that cannot be part of a datagram is refused."""
    with pytest.raises(PacketError, match=text) as caught:
        Fragment(17, payload, **changes)  # type: ignore[arg-type]
    assert caught.value.reason == "bad_fragment"
