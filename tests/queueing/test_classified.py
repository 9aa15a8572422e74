"""Marks on packets, and link headers put in front of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from aiotun.queueing import Classified, FairQueue, Priority, prepend

from .packets import LINK, datagram, flow_of


def test_a_marked_packet_is_its_bytes() -> None:
    """A marked packet equals the packet, which it also holds plain, with its key."""
    packet = b"packet"
    marked = Classified(packet, 7)
    assert (marked, marked.key) == (packet, 7)
    assert marked.packet is packet


def test_a_header_before_a_plain_packet() -> None:
    """prepend() to a plain packet gives plain bytes."""
    joined = prepend(b"head", b"packet")
    assert joined == b"headpacket" and type(joined) is bytes


def test_a_header_before_a_marked_packet() -> None:
    """prepend() to a marked packet keeps the key, and its plain form has the header too."""
    joined = prepend(b"head", Classified(b"packet", "key"))
    assert isinstance(joined, Classified)
    assert (joined, joined.packet, joined.key) == (b"headpacket", b"headpacket", "key")
    assert type(joined.packet) is bytes


class Recorder(FairQueue):
    """Keeps what it was asked for the key of."""

    __slots__ = ("asked",)

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bytes] = []

    def key(self, packet: bytes) -> int:
        self.asked.append(packet)
        return flow_of(packet)


def test_classify_marks_every_packet() -> None:
    """classify() marks each packet, in order, with its key."""
    batch = [datagram(1), datagram(2)]
    marked = [packet for packet in Recorder().classify(batch) if isinstance(packet, Classified)]
    assert [(packet.packet, packet.key) for packet in marked] == [(datagram(1), 1), (datagram(2), 2)]


def test_classify_is_before_the_link_header() -> None:
    """classify() looks at the start of the packet, whatever the offset."""
    queue = Recorder()
    queue.offset = 14
    queue.classify([datagram(1)])
    assert queue.asked == [datagram(1)]


def test_a_mark_is_taken() -> None:
    """A marked packet is queued under its key without another look, and plain."""
    queue = Recorder()
    packet = datagram(1)
    queue.enqueue_many([Classified(packet, 9)], 0.0)
    assert queue.asked == [] and queue._flows.keys() == {9}
    assert queue.dequeue_many(1, 0.0)[0] is packet


def test_an_unmarked_packet_is_looked_into() -> None:
    """A packet without a mark is sorted by what is behind its link header."""
    queue = Recorder()
    queue.offset = 14
    queue.enqueue_many([LINK + datagram(3)], 0.0)
    assert queue.asked == [datagram(3)]


def failing(packet: bytes) -> int:
    raise LookupError("no class")


@pytest.mark.parametrize("batch", [[b"a", b"b"], [b"a"]])
def test_a_classifier_that_fails(batch: Sequence[bytes]) -> None:
    """A classifier's exception passes through before anything is queued or counted."""
    queue = Priority([FairQueue()], failing)
    with pytest.raises(LookupError):
        queue.enqueue_many(batch, 0.0)
    assert (len(queue), queue.statistics().offered) == (0, 0)
