"""Packets in a stream: whole at every boundary, and an error with both numbers where there is none."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun import DeviceGone
from aiotun.channel import StreamBroken
from aiotun.channel.stream_framing import LengthBytes, LengthFraming


def framing(mtu: int = 1500, length_bytes: LengthBytes = 2) -> LengthFraming:
    return LengthFraming("stream", mtu, length_bytes)


def drain(of: LengthFraming, limit: int = 64) -> list[bytes]:
    packets: list[bytes] = []
    while batch := of.take(limit):
        packets += batch
    return packets


PACKETS = [b"a", b"bb" * 30, b"c" * 700, b"d", b"e" * 257]


@pytest.mark.parametrize(
    ("length_bytes", "stream"), [(2, b"\x00\x01a\x01\x00" + bytes(256)), (4, b"\0\0\0\x01a\0\0\x01\0" + bytes(256))]
)
def test_a_packet_stands_behind_its_length(length_bytes: LengthBytes, stream: bytes) -> None:
    """The length has 2 or 4 bytes, the most significant first, and does not count itself (RFC 4571)."""
    assert framing(length_bytes=length_bytes).encode([b"a", bytes(256)]) == stream


@pytest.mark.parametrize("length_bytes", [2, 4])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_pieces_of_any_size_give_the_packets(size: int, length_bytes: LengthBytes) -> None:
    """A stream that comes in pieces of one size, down to bytes, gives the packets that were put in."""
    stream = framing(length_bytes=length_bytes).encode(PACKETS)
    other = framing(length_bytes=length_bytes)
    taken: list[bytes] = []
    for start in range(0, len(stream), size):
        other.feed(stream[start : start + size])
        taken += drain(other)
    assert (taken, other.held) == (PACKETS, 0)


def test_every_cut_gives_the_packets() -> None:
    """A stream cut in two at any byte gives before the cut what is whole there, and all of it in the end."""
    stream = framing().encode(PACKETS)
    ends = [len(framing().encode(PACKETS[:count])) for count in range(len(PACKETS) + 1)]
    for cut in range(len(stream) + 1):
        other = framing()
        other.feed(stream[:cut])
        first = drain(other)
        assert len(first) == sum(end <= cut for end in ends) - 1
        other.feed(stream[cut:])
        assert first + drain(other) == PACKETS


@given(
    packets=st.lists(st.binary(min_size=1, max_size=300), max_size=20),
    cuts=st.lists(st.integers(1, 400), min_size=1, max_size=30),
    limit=st.integers(1, 8),
    length_bytes=st.sampled_from([2, 4]),
)
def test_however_it_is_cut_and_taken(
    packets: list[bytes], cuts: list[int], limit: int, length_bytes: LengthBytes
) -> None:
    """Any packets, cut anywhere, fed before or after others are taken, come out whole and in order."""
    stream = framing(length_bytes=length_bytes).encode(packets)
    other = framing(length_bytes=length_bytes)
    taken: list[bytes] = []
    for cut in cuts:
        other.feed(stream[:cut])
        stream = stream[cut:]
        taken += other.take(limit)
    other.feed(stream)
    taken += drain(other, limit)
    assert (taken, other.held, other.ready) == (packets, 0, False)


def test_ready_says_whether_a_packet_is_whole() -> None:
    """ready is False until the last byte of a packet is there."""
    other = framing()
    states = []
    for byte in framing().encode([b"abc"]):
        other.feed(bytes([byte]))
        states.append(other.ready)
    assert states == [False, False, False, False, True]


@pytest.mark.parametrize(("length", "mtu"), [(0, 1500), (1501, 1500), (65535, 1500)])
def test_a_bad_length_is_an_error_with_both_numbers(length: int, mtu: int) -> None:
    """A length of 0, or beyond the mtu, is StreamBroken (EPROTO), and says what came and what may come."""
    other = framing(mtu)
    other.feed(length.to_bytes(2, "big"))
    with pytest.raises(
        StreamBroken, match=f"^stream: the peer sent a packet length of {length}, it is 1 to {mtu} here$"
    ) as caught:
        other.take(64)
    assert caught.value.errno == errno.EPROTO


def test_what_came_before_a_bad_length_is_received() -> None:
    """Packets in front of a bad length are taken first; nothing behind it ever is."""
    other = framing()
    good = framing().encode([b"1", b"2"])
    other.feed(good + b"\0\0" + good)
    assert other.take(64) == [b"1", b"2"]
    for _ in range(2):
        with pytest.raises(StreamBroken, match="length of 0"):
            other.take(64)
        other.feed(good)


def test_a_length_over_the_mtu_holds_no_memory() -> None:
    """A length of 4 GB is refused when its last byte comes, before anything of the packet is held."""
    other = framing(length_bytes=4)
    other.feed(b"\xff\xff\xff")
    assert other.take(1) == []
    other.feed(b"\xff")
    with pytest.raises(StreamBroken, match="length of 4294967295, it is 1 to 1500 here"):
        other.take(1)


def test_an_end_between_packets_is_clean() -> None:
    """The end of the stream after a whole packet is DeviceGone, and not StreamBroken."""
    other = framing()
    other.feed(framing().encode([b"1"]))
    drain(other)
    assert (type(other.ended()), str(other.ended())) == (DeviceGone, "stream: the peer closed the connection")


@pytest.mark.parametrize(
    ("cut", "text"),
    [
        (1, "stream: the stream ended inside a packet's length, after 1 of 2 bytes"),
        (2, "stream: the stream ended inside a packet, after 2 of 102 bytes"),
        (101, "stream: the stream ended inside a packet, after 101 of 102 bytes"),
    ],
)
@pytest.mark.parametrize("piece", [1, 200])
def test_an_end_inside_a_packet_is_an_error(cut: int, text: str, piece: int) -> None:
    """The end of the stream inside a packet, or its length, is StreamBroken, and says where."""
    other = framing()
    stream = framing().encode([bytes(100)])[:cut]
    for start in range(0, cut, piece):
        other.feed(stream[start : start + piece])
        assert other.take(1) == []
    assert (type(other.ended()), str(other.ended())) == (StreamBroken, text)
