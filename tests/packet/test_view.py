"""What every view promises: reading it never fails."""

from __future__ import annotations

from inspect import getmembers

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun import packet as room
from aiotun.errors import PacketError
from aiotun.packet import (
    ARPView,
    EthernetView,
    FragmentView,
    ICMPv6View,
    ICMPView,
    IPv4View,
    IPv6View,
    NeighborView,
    TCPView,
    UDPView,
    View,
)

from . import strategies as s

VIEWS: list[type[View]] = [
    EthernetView,
    ARPView,
    IPv4View,
    IPv6View,
    FragmentView,
    TCPView,
    UDPView,
    ICMPView,
    ICMPv6View,
    NeighborView,
]


def fields(view: type[View]) -> list[str]:
    """The names of everything that can be read from a view."""
    return [name for name, _ in getmembers(view, lambda member: isinstance(member, property))]


def read_all(view: View) -> None:
    """Read everything a view has."""
    for name in fields(type(view)):
        getattr(view, name)
    bytes(view), repr(view)
    for src in (bytes(4), bytes(16)):
        if isinstance(view, TCPView | UDPView | ICMPv6View):
            view.checksum_ok(src, src)


def test_the_list_is_complete() -> None:
    """Every public view is tested here."""
    public = {member for name in room.__all__ if isinstance(member := getattr(room, name), type)}
    assert {member for member in public if issubclass(member, View)} == {*VIEWS, View}


@pytest.mark.parametrize("kind", VIEWS)
@given(octets=s.hostile, offset=st.integers(0, 130), end=st.none() | st.integers(-5, 130))
def test_reading_never_fails(kind: type[View], octets: bytes, offset: int, end: int | None) -> None:
    """Every field of every view can be read from any bytes, at any place in them."""
    read_all(kind(octets, offset, end))


@pytest.mark.parametrize("kind", VIEWS)
@given(octets=s.hostile)
def test_check_raises_nothing_else(kind: type[View], octets: bytes) -> None:
    """check() passes or raises PacketError with a sentence and a reason, whatever the bytes are."""
    view = kind(octets)
    try:
        view.check()  # type: ignore[attr-defined]
    except PacketError as error:
        assert str(error) and error.reason not in ("", "bad_packet")


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in VIEWS for name in fields(kind)])
def test_missing_bytes_read_as_zero(kind: type[View], name: str) -> None:
    """Over no bytes at all every field is 0, false, empty or nothing."""
    got = getattr(kind(b"", 7, 3), name)
    if name in ("payload_offset", "packet_end", "transport", "partial_transport", "quoted", "ethertype", "tag_count"):
        return  # a place or a conclusion, not bytes
    if name == "header_length" and kind is EthernetView:
        return
    assert not got or int.from_bytes(getattr(got, "packed", got), "big") == 0


@pytest.mark.parametrize("kind", VIEWS)
def test_a_field_is_whole_or_zero(kind: type[View]) -> None:
    """A field of which only some bytes are there reads as if none were."""
    octets = b"\xff" * 60
    for name in fields(kind):
        whole = getattr(kind(octets), name)
        if isinstance(whole, int) and not name.endswith(("_offset", "_end", "_length")) and name != "available":
            seen = {getattr(kind(octets, 0, end), name) for end in range(60)}
            assert seen <= {0, None, whole}, name


@pytest.mark.parametrize("kind", VIEWS)
def test_nothing_beyond_the_end_is_read(kind: type[View]) -> None:
    """What lies beyond the end of the enclosing layer makes no difference to any field."""
    for end in range(60):
        inside, outside = kind(b"\x45" * end), kind(b"\x45" * end + b"\xff" * 60, 0, end)
        for name in fields(kind):
            if name != "quoted":
                assert getattr(inside, name) == getattr(outside, name), (end, name)


@pytest.mark.parametrize("kind", VIEWS)
@pytest.mark.parametrize("buffer", [bytearray, memoryview])
def test_other_buffers_read_alike(kind: type[View], buffer: type) -> None:
    """A bytearray or a memoryview reads as the same bytes do."""
    for octets in s.PACKETS:
        plain, other = kind(octets), kind(buffer(octets))
        for name in fields(kind):
            if name != "quoted":
                assert getattr(plain, name) == getattr(other, name), name
                assert type(getattr(plain, name)) is type(getattr(other, name)), name


def test_offset() -> None:
    """A view at an offset reads what a view of the rest does."""
    assert IPv4View(b"\xff" * 14 + s.TCP4, 14).src_bytes == IPv4View(s.TCP4).src_bytes


def test_no_copy() -> None:
    """A view follows its buffer when that changes."""
    buffer = bytearray(s.TCP4)
    view = IPv4View(buffer)
    buffer[8] = 33
    assert view.ttl == 33


def test_negative_offset() -> None:
    """A negative offset is a mistake of the caller, not of the bytes."""
    with pytest.raises(ValueError, match="IPv4View: offset is -1, it must not be negative"):
        IPv4View(s.TCP4, -1)


def test_end_beyond_the_buffer() -> None:
    """An end beyond the buffer is the end of the buffer."""
    assert IPv4View(b"\x45", 0, 99).available == 1


def test_nothing_available_behind_the_end() -> None:
    """A view that starts behind its end has no bytes."""
    assert bytes(IPv4View(b"\x45" * 40, 30, 20)) == b""


def test_bytes() -> None:
    """bytes() of a view is a copy of what it may read."""
    assert bytes(IPv4View(b"abcdef", 1, 4)) == b"bcd"


def test_repr() -> None:
    """The repr says what lies where."""
    assert repr(IPv4View(bytes(30), 10)) == "<IPv4View of 20 bytes at offset 10>"


def test_no_dict() -> None:
    """Views have slots: a mistyped attribute is an error."""
    with pytest.raises(AttributeError):
        IPv4View(b"").colour = 1  # type: ignore[attr-defined]


def test_fields_are_read_only() -> None:
    """A view does not write."""
    with pytest.raises(AttributeError):
        IPv4View(bytearray(20)).ttl = 1  # type: ignore[misc]
