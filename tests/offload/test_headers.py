"""Finding the headers that offload works on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.offload.headers import find_network, find_transport6
from aiotun.packet import EthernetView

from . import packets as p

VERSIONS = pytest.mark.parametrize("version", [4, 6])


@VERSIONS
@pytest.mark.parametrize("link", [14, 18, 22])
def test_behind_tags(version: int, link: int) -> None:
    """The IP header is found behind no, one or two VLAN tags."""
    assert find_network(p.framed(p.tcp(version), link)) == link


def test_three_tags_are_too_many() -> None:
    """A third tag is not stepped over."""
    frame = p.framed(p.tcp(4), 22)
    assert find_network(frame[:12] + b"\x81\0\0\x01" + frame[12:]) == -1


@VERSIONS
def test_the_version_must_agree(version: int) -> None:
    """A type for the other IP version is no IP header."""
    frame = p.framed(p.tcp(version))
    other = b"\x86\xdd" if version == 4 else b"\x08\0"
    assert find_network(p.patched(frame, 12, other)) == -1


@pytest.mark.parametrize("kind", [b"\x08\x06", b"\x88\xcc", b"\x05\xdc"])
def test_other_types(kind: bytes) -> None:
    """A frame of another type holds no IP, whatever its bytes look like."""
    assert find_network(p.patched(p.framed(p.tcp(4)), 12, kind)) == -1


@pytest.mark.parametrize("link", [14, 18, 22])
def test_every_cut(link: int) -> None:
    """A frame cut anywhere before the first byte of IP has none."""
    frame = p.framed(p.tcp(4), link)
    assert [find_network(frame[:size]) for size in range(link + 3)] == [-1] * (link + 1) + [link] * 2


@given(st.binary(max_size=40))
def test_any_frame(frame: bytes) -> None:
    """Any bytes have an answer, and it is where Ethernet's own view sees the payload."""
    at = find_network(frame)
    assert at == -1 or at == EthernetView(frame).payload_offset


@pytest.mark.parametrize(
    ("extensions", "protocol", "at"),
    [
        (b"", 6, 40),
        (p.destination(), 6, 48),
        (p.hop_by_hop(), 6, 48),
        (p.routing(), 6, 48),
        (p.hop_by_hop(16) + p.routing() + p.destination(24), 6, 88),
        (p.destination() * 8, 6, 104),
        (p.destination() * 9, 60, 104),
        (p.destination() + p.hop_by_hop(), 0, 48),
        (p.destination(2048), 6, 2088),
    ],
)
@pytest.mark.parametrize("network", [0, 14])
def test_extension_headers(extensions: bytes, protocol: int, at: int, network: int) -> None:
    """Hop-by-hop in front, routing and destination options are stepped over, eight in all."""
    packet = bytes(network) + p.tcp(6, ip={"extensions": extensions})
    assert find_transport6(packet, network) == (protocol, network + at)


@pytest.mark.parametrize("number", [17, 44, 51, 59, 135, 253])
def test_any_other_header_is_the_answer(number: int) -> None:
    """A fragment header, AH, mobility or an unknown number ends the walk."""
    assert find_transport6(p.patched(p.tcp(6), 6, bytes((number,))), 0) == (number, 40)


def test_a_header_beyond_the_end() -> None:
    """A header that is not all there is the answer; one that only says so is stepped over, to beyond the end."""
    packet = p.tcp(6, ip={"extensions": p.destination()})
    assert find_transport6(packet[:47], 0) == (60, 40)
    assert find_transport6(packet[:48], 0) == (6, 48)
    assert find_transport6(p.patched(packet[:48], 41, b"\x02"), 0) == (6, 64)


@given(st.binary(min_size=40, max_size=200))
def test_any_packet(packet: bytes) -> None:
    """Any bytes have an answer."""
    protocol, at = find_transport6(packet, 0)
    assert 0 <= protocol <= 255 and at >= 40
