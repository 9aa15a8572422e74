"""Packets that are held for a time: how they go on by themselves, and what is left at the end."""

from __future__ import annotations

import asyncio

import pytest
from driver.fakes import advance, simulated

from aiotun.pipeline import Path
from aiotun.stages import delay
from aiotun.testing.expect import turns

from .packets import Clock


def timers() -> int:
    """How many timers wait in the running loop."""
    loop = asyncio.get_running_loop()
    return sum(not timer.cancelled() for timer in loop._scheduled)  # type: ignore[attr-defined]


@simulated
async def test_what_is_due_is_emitted() -> None:
    """At its time, by the loop's clock, a packet goes on without another one coming."""
    stage, emitted = delay(0.5), list[list[bytes]]()
    stage.emit = lambda batch: emitted.append(list(batch))
    assert list(stage([b"a"])) == []
    advance(0.3)
    assert list(stage([b"b"])) == []
    await turns()
    assert emitted == []
    advance(0.2)
    await turns()
    assert emitted == [[b"a"]]
    advance(0.3)
    await turns()
    assert (emitted, len(stage), timers()) == ([[b"a"], [b"b"]], 0, 0)


@simulated
async def test_one_timer() -> None:
    """However many packets wait, there is one timer, and none when nothing waits."""
    stage = delay(0.5)
    stage.emit = lambda batch: None
    assert timers() == 0
    for _ in range(5):
        advance(0.01)
        stage([b"a", b"b"])
    assert timers() == 1
    stage.close()
    assert timers() == 0


@simulated
async def test_an_earlier_packet_moves_the_timer() -> None:
    """A packet that is due before the one that the timer is set for is emitted in time."""
    stage, emitted = delay(1.0, 0.9, seed=4), list[bytes]()
    stage.emit = emitted.extend
    for n in range(20):
        stage([bytes([n])])
    first = stage.ready_at(0.0)
    assert first is not None
    advance(first - 1000.0)
    await turns()
    assert len(emitted) == 1


@simulated
async def test_an_error_of_the_next_stage() -> None:
    """What a stage behind raises goes to the loop's handler, and the packets behind are still emitted."""
    seen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: seen.append(context["exception"]))
    stage, emitted = delay(0.5), list[bytes]()
    error = ZeroDivisionError()

    def emit(batch: object) -> None:
        stage.emit = emitted.extend
        raise error

    stage.emit = emit
    stage([b"a"])
    advance(0.4)
    stage([b"b"])
    advance(0.1)
    await turns()
    advance(0.5)
    await turns()
    assert (seen, emitted) == ([error], [b"b"])


@simulated
async def test_emit_taken_away() -> None:
    """Where nobody takes them any more, packets stay until the next batch."""
    stage = delay(0.5)
    stage.emit = lambda batch: pytest.fail("nobody is there")
    stage([b"a"])
    stage.emit = None
    advance(0.5)
    await turns()
    assert (len(stage), list(stage([b"b"]))) == (1, [b"a"])


def test_without_a_loop() -> None:
    """Without a running loop what is due leaves with the next batch, in front of it."""
    clock = Clock()
    stage = delay(0.5, clock=clock)
    stage.emit = lambda batch: pytest.fail("there is no timer")
    assert list(stage([b"a"])) == []
    clock.now += 0.5
    assert list(stage([b"b"])) == [b"a"]


def test_asked() -> None:
    """An owner without a timer asks when, and takes."""
    stage = delay(0.5, clock=Clock())
    assert stage.ready_at(1000.0) is None
    stage([b"a"])
    assert (stage.ready_at(1000.0), stage.take(1000.4), stage.take(1000.5)) == (1000.5, [], [b"a"])


def test_close() -> None:
    """close() drops what is held, under a reason; closing again drops nothing; the stage still works."""
    clock = Clock()
    stage = delay(0.5, clock=clock)
    stage([b"a", b"b"])
    stage.close("stopped")
    stage.close("stopped")
    assert (len(stage), dict(stage.dropped)) == (0, {"stopped": 2})
    stage([b"c"])
    clock.now += 1
    assert stage.take(clock.now) == [b"c"]


def test_what_a_path_counts() -> None:
    """To its path a packet that is held is dropped as held, and created when it goes on: the sums hold."""
    clock = Clock()
    stage = delay(0.5, limit=3, clock=clock)
    path = Path("x", [("delay", stage)])
    path([b"a", b"b", b"c", b"d"])
    clock.now += 0.5
    assert list(path([b"e"])) == [b"a", b"b", b"c"]
    found = path.statistics()
    assert (found.entered, found.left, found.created) == (5, 3, 2)
    assert dict(found.dropped) == {"held": 3, "queue_full": 1}
    assert dict(stage.dropped) == {"queue_full": 1}
