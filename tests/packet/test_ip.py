"""Version, transport and flow of whole packets."""

from __future__ import annotations

import pytest
from hypothesis import given

from aiotun.packet import TCP, UDP, Flow, Fragment, IPv4, IPv6, find_transport, flow, version
from aiotun.packet.ip import _any_flow

from . import strategies as s

SRC4, DST4 = bytes((10, 1, 2, 3)), bytes((10, 4, 5, 6))
SRC6, DST6 = bytes.fromhex("fd00" + "00" * 11 + "010002"), bytes.fromhex("fd00" + "00" * 11 + "030004")


@pytest.mark.parametrize(("packet", "expected"), [(b"", 0), (b"\x00", 0), (b"\x45", 4), (b"\x60", 6), (b"\xff", 15)])
def test_version(packet: bytes, expected: int) -> None:
    """The version is the first nibble, and 0 if there is none."""
    assert version(packet) == expected


@pytest.mark.parametrize(("packet", "protocol", "offset"), [(s.TCP4, 6, 20), (s.UDP6, 17, 40), (s.SKIP6, 58, 56)])
def test_find_transport(packet: bytes, protocol: int, offset: int) -> None:
    """The transport is found in packets of both versions, without what follows the packet."""
    assert find_transport(packet + b"padding") == (protocol, offset, len(packet), "")


@pytest.mark.parametrize(
    ("packet", "reason"), [(b"", "short_header"), (b"\x50", "bad_version"), (b"\x45", "short_header")]
)
def test_no_transport(packet: bytes, reason: str) -> None:
    """Bytes that are no packet have no transport, for a reason."""
    assert find_transport(packet) == (None, 0, len(packet), reason)


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (s.TCP4, Flow(6, SRC4, DST4, 1000, 80)),
        (s.UDP4, Flow(17, SRC4, DST4, 1000, 53)),
        (s.TCP6, Flow(6, SRC6, DST6, 1000, 80)),
        (s.UDP6, Flow(17, SRC6, DST6, 1000, 53)),
        (s.ECHO4, Flow(1, SRC4, DST4, 0, 0)),
        (s.SKIP6, Flow(58, SRC6, DST6, 0, 0)),
        (IPv4(s.A4, s.B4, 17, UDP(1, 2).build(s.A4, s.B4), options=b"\1\1\1\0").build(), Flow(17, SRC4, DST4, 1, 2)),
        (IPv4(s.A4, s.B4, 17, b"\0\1\0\2", more_fragments=True).build(), Flow(17, SRC4, DST4, 0, 0)),
        (IPv4(s.A4, s.B4, 17, b"\0\1\0\2", fragment_offset=8).build(), Flow(17, SRC4, DST4, 0, 0)),
        (IPv4(s.A4, s.B4, 17, b"\0\1\0").build(), Flow(17, SRC4, DST4, 0, 0)),
        (IPv6(s.A6, s.B6, 44, Fragment(17, bytes(8)).build()).build(), Flow(44, SRC6, DST6, 0, 0)),
        (IPv4(s.A4, s.B4, 132, b"\0\1\0\2" + bytes(8)).build(), Flow(132, SRC4, DST4, 1, 2)),
        (b"", None),
        (b"\x45", None),
        (s.TCP4[:-1], None),
        (s.TCP6[:-1], None),
        (b"\x55" + s.TCP4[1:], None),
    ],
)
def test_flow(packet: bytes, expected: Flow | None) -> None:
    """The flow is the 5-tuple, without ports where there are none to read, or None."""
    assert flow(packet) == expected


@given(s.hostile_packets)
def test_flow_takes_no_short_cut(packet: bytes) -> None:
    """The quick way to the flow gives on any bytes what the long way does."""
    assert flow(packet) == _any_flow(packet)


@pytest.mark.parametrize("kind", [bytearray, memoryview])
@pytest.mark.parametrize("packet", [s.TCP4, s.SKIP6])
def test_flow_of_other_buffers(kind: type, packet: bytes) -> None:
    """The flow of any buffer is made of plain bytes, and so hashable."""
    assert hash(flow(kind(packet))) == hash(flow(packet))


def test_reverse() -> None:
    """The reverse of a flow is the flow of the answer."""
    answer = IPv4(s.B4, s.A4, 6, TCP(80, 1000).build(s.B4, s.A4)).build()
    found = flow(s.TCP4)
    assert found is not None and found.reverse == flow(answer)
