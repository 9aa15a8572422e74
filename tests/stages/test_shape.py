"""Shaping by a discipline: pace, drops, and superpackets."""

from __future__ import annotations

import pytest
from driver.fakes import advance, simulated

from aiotun.pipeline import Path
from aiotun.queueing import FairQueue, Fifo, TokenBucket
from aiotun.stages import shape
from aiotun.testing.expect import turns

from .packets import Clock, tcp


def test_the_pace() -> None:
    """Packets go on at the discipline's rate."""
    clock = Clock()
    stage = shape(TokenBucket(8000, 1000), clock=clock)
    assert list(stage([bytes(1000)] * 3)) == [bytes(1000)]
    assert (stage.ready_at(clock.now), len(stage)) == (1001.0, 2)
    clock.now += 1
    assert stage.take(clock.now) == [bytes(1000)]


@simulated
async def test_by_the_loops_clock() -> None:
    """With somebody to take them, packets go on when the rate allows, the last without another coming."""
    stage, emitted = shape(TokenBucket(8000, 1000)), list[bytes]()
    stage.emit = emitted.extend
    assert len(stage([bytes(1000)] * 3)) == 1
    for _ in range(2):
        advance(1.0)
        await turns()
    assert (emitted, len(stage)) == ([bytes(1000)] * 2, 0)


def test_drops_are_the_disciplines() -> None:
    """What the discipline drops is counted under its reasons, by the stage and by its path."""
    stage = shape(TokenBucket(8, 10, Fifo(2)), clock=Clock())
    path = Path("x", [("shape", stage)])
    path([bytes(10)] * 5)
    path([bytes(10)])
    assert dict(stage.dropped) == {"queue_full": 3}
    assert dict(path.statistics().dropped) == {"held": 2, "queue_full": 3}


def test_drops_before_it_belonged_to_the_stage() -> None:
    """What a discipline dropped before is not the stage's."""
    queue = Fifo(1)
    queue.enqueue_many([b"a", b"b"], 0.0)
    queue.dequeue_many(1, 0.0)
    assert dict(shape(queue, clock=Clock()).dropped) == {}


def test_close() -> None:
    """close() empties the discipline, and counts that once."""
    stage = shape(TokenBucket(8, 10), clock=Clock())
    stage([bytes(10)] * 3)
    stage.close()
    assert (len(stage), dict(stage.dropped)) == (0, {"closed": 2})
    stage([])
    assert dict(stage.dropped) == {"closed": 2}


def test_any_discipline() -> None:
    """A fair queue shares the pace among flows."""
    clock = Clock()
    stage = shape(TokenBucket(8 * 45, 45, FairQueue(quantum=45)), clock=clock)
    stage([tcp(ports=(1, 2))] * 3 + [tcp(ports=(3, 4))])
    clock.now += 1
    assert [packet[20:22] for packet in stage.take(clock.now)] == [b"\0\x03"]


def test_superpackets_are_cut_in_front() -> None:
    """A discipline sorts, marks and paces packets: the stage takes no super-packets."""
    assert not shape(Fifo()).superpackets


def test_what_is_no_discipline() -> None:
    """What is no discipline is refused."""
    with pytest.raises(TypeError, match="the queue of shape is a discipline such as Fifo"):
        shape(50)  # type: ignore[arg-type]
