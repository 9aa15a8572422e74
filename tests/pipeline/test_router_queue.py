"""The queue in front of one endpoint of a router: its two bounds, and who loses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.packet import IPv6, Protocol
from aiotun.pipeline.router_queue import RouterQueue

from .pump_ends import udp


def packet(number: int = 0, size: int = 72) -> bytes:
    return udp("10.0.0.1", "10.0.0.2", number, size)


def ipv6(src: str, port: int) -> bytes:
    return IPv6(src, "fd00::9", Protocol.UDP, port.to_bytes(2, "big") * 2 + bytes(4)).build()


def test_bytes_are_bounded() -> None:
    """What is queued never has more bytes than the bound; the oldest packet goes first."""
    queue = RouterQueue(100, max_bytes=250)
    queue.put([packet(number) for number in range(5)], "peer")
    assert (queue.nbytes, queue.dequeue_many(10, 0.0)) == (200, [packet(3), packet(4)])
    assert queue.statistics().dropped == {"overlimit": 3}


def test_packets_are_bounded() -> None:
    """Nor are there more packets than the other bound."""
    queue = RouterQueue(2, max_bytes=10_000)
    queue.put([packet(number) for number in range(5)], "peer")
    assert queue.dequeue_many(10, 0.0) == [packet(3), packet(4)]


def test_who_has_most_loses() -> None:
    """A flood from one sender costs the packets of no other."""
    queue = RouterQueue(10, max_bytes=10_000)
    queue.put([packet(1)], "quiet")
    queue.put([packet(2)] * 100, "flood")
    assert packet(1) in queue.dequeue_many(10, 0.0)


def test_nobody_loses_more_than_half_at_once() -> None:
    """Of two that both have much the second loses too, once the first has half of what it had."""
    queue = RouterQueue(20, max_bytes=10_000)
    queue.put([packet(1)] * 12, "one")
    queue.put([packet(2)] * 8, "other")
    queue.max_packets = 10
    queue.put([], "one")
    left = queue.dequeue_many(20, 0.0)
    assert (left.count(packet(1)), left.count(packet(2))) == (6, 4)


def test_who_has_most_later() -> None:
    """Who had most when the queue was full before is not who loses now."""
    queue = RouterQueue(10, max_bytes=10_000)
    queue.put([packet(1)] * 12, "one")
    queue.put([packet(2)] * 20, "other")
    assert queue.dequeue_many(10, 0.0).count(packet(1)) >= 5


def test_senders_take_turns() -> None:
    """Each sender has its share of what leaves, whatever it offered."""
    queue = RouterQueue(100, max_bytes=1_000_000)
    queue.put([packet(1, 1472)] * 60, "flood")
    queue.put([packet(2, 1472)] * 5, "quiet")
    assert queue.dequeue_many(10, 0.0).count(packet(2, 1472)) == 5


def test_without_a_sender_flows_take_turns() -> None:
    """What comes from no peer is shared by its flows."""
    queue = RouterQueue(100, max_bytes=1_000_000)
    queue.put([udp("10.0.0.1", "10.0.0.2", 0, 1472)] * 60, None)
    queue.put([udp("10.0.0.3", "10.0.0.2", 0, 1472)] * 5, None)
    assert len({part[12:16] for part in queue.dequeue_many(4, 0.0)}) == 2


def test_a_packet_beyond_all_bounds() -> None:
    """A packet longer than the bound is dropped, and takes nobody else's with it."""
    queue = RouterQueue(100, max_bytes=250)
    queue.put([packet(1)], "quiet")
    queue.put([packet(2, 400)], "peer")
    assert (queue.dequeue_many(10, 0.0), queue.statistics().dropped) == ([packet(1)], {"overlimit": 1})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (udp("10.0.0.1", "10.0.0.2"), udp("10.0.0.1", "10.0.0.3")),
        (udp("10.0.0.1", "10.0.0.2"), udp("10.0.0.1", "10.0.0.2")[:20] + b"port" * 5),
        (ipv6("fd00::1", 5), ipv6("fd00::2", 5)),
        (ipv6("fd00::1", 5), ipv6("fd00::1", 6)),
    ],
)
def test_two_flows(one: bytes, other: bytes) -> None:
    """Addresses or ports that differ make two flows, in both IP versions."""
    queue = RouterQueue(100, max_bytes=10_000)
    assert queue.key(one) != queue.key(other)


@pytest.mark.parametrize("packet", [b"", b"\x45", b"\x60" * 19])
def test_what_is_cut_short(packet: bytes) -> None:
    """What has no addresses is one flow."""
    assert RouterQueue(100, max_bytes=10_000).key(packet) == b""


@pytest.mark.parametrize("word", [0x2000, 0x2010, 0x0010])
def test_fragments(word: int) -> None:
    """The fragments of a packet are one flow, though what follows their header differs."""
    whole = udp("10.0.0.1", "10.0.0.2")
    one, other = (whole[:6] + word.to_bytes(2, "big") + whole[8:20] + rest for rest in (b"1111", b"2222"))
    queue = RouterQueue(100, max_bytes=10_000)
    assert queue.key(one) == queue.key(other)


@pytest.mark.parametrize(("queued", "fits"), [(0, 2), (1, 1), (2, 0)])
def test_fitting(queued: int, fits: int) -> None:
    """fitting() counts by both bounds."""
    queue = RouterQueue(100, max_bytes=250)
    queue.put([packet()] * queued, "peer")
    assert queue.fitting([packet()] * 5) == fits


@pytest.mark.parametrize("size", [0, -1])
def test_no_bytes(size: int) -> None:
    """A bound below one byte is refused."""
    with pytest.raises(ValueError, match=f"a queue holds at least 1 byte, not {size}"):
        RouterQueue(10, max_bytes=size)


@given(st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(4, 400), max_size=20), st.integers(0, 5))))
def test_nothing_is_missing(steps: list[tuple[int, list[int], int]]) -> None:
    """Offered = taken + queued + dropped, and both bounds hold, after every step."""
    queue = RouterQueue(12, max_bytes=1000)
    for sender, sizes, limit in steps:
        queue.put([packet(0, size) for size in sizes], sender)
        queue.dequeue_many(limit, 0.0)
        seen = queue.statistics()
        assert seen.offered == seen.taken + seen.queued + sum(seen.dropped.values())
        assert len(queue) <= 12 and queue.nbytes <= 1000
