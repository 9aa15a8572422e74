"""Delaying: who leaves when, and in which order."""

from __future__ import annotations

import pytest

from aiotun.stages import delay

from .packets import Clock, superpacket


def test_everybody_waits_the_same() -> None:
    """Without jitter packets leave in order, each its time after it came."""
    clock = Clock()
    stage = delay(1.0, clock=clock)
    stage([b"a", b"b"])
    clock.now += 0.6
    stage([b"c"])
    assert (stage.take(1001.0), stage.take(1001.59), stage.take(1001.6)) == ([b"a", b"b"], [], [b"c"])


def test_no_time() -> None:
    """A delay of nothing holds nothing."""
    assert list(delay(0.0, clock=Clock())([b"a", b"b"])) == [b"a", b"b"]


def test_jitter() -> None:
    """With jitter each waits for a time of its own within the bounds, the same for the same seed."""
    stages = [delay(1.0, 0.25, seed=9, clock=Clock()) for _ in range(2)]
    packets = [bytes([n]) for n in range(200)]
    for stage in stages:
        stage(packets)
    for now in (1000.749, 1000.9, 1001.1, 1001.25):
        taken = [stage.take(now) for stage in stages]
        assert taken[0] == taken[1]
        assert (len(taken[0]) == 0) is (now == 1000.749)
    assert [len(stage) for stage in stages] == [0, 0]


def test_the_limit() -> None:
    """Beyond the limit packets are dropped, and those that wait stay."""
    stage = delay(1.0, limit=2, clock=Clock())
    stage([b"a", b"b", b"c"])
    assert (stage.take(1001.0), dict(stage.dropped)) == ([b"a", b"b"], {"queue_full": 1})


def test_the_least_limit() -> None:
    """A limit of one packet is one."""
    stage = delay(1.0, limit=1, clock=Clock())
    stage([b"a", b"b"])
    assert len(stage) == 1


def test_superpackets() -> None:
    """A super-packet waits whole, and is the same object."""
    stage, packet = delay(1.0, clock=Clock()), superpacket()
    stage([packet])
    assert stage.take(1001.0)[0] is packet


@pytest.mark.parametrize(("seconds", "jitter"), [(-1.0, 0.0), (1.0, 1.1), (1.0, -0.1)])
def test_before_it_came(seconds: float, jitter: float) -> None:
    """A delay that may be negative is refused."""
    with pytest.raises(ValueError, match="is no delay"):
        delay(seconds, jitter)


def test_a_limit_without_sense() -> None:
    """A delay that holds nothing is refused."""
    with pytest.raises(ValueError, match="a delay holds at least 1 packet, not 0"):
        delay(1.0, limit=0)
