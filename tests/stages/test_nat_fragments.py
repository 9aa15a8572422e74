"""What is remembered of fragmented datagrams, and how much."""

from __future__ import annotations

from aiotun.stages.nat_fragments import DATAGRAMS, WAITING, Fragments
from aiotun.stages.nat_session import Mapping, Session

SESSION = Session(Mapping(17, b"in..", b"\0\1", b"out.", b"\0\2"), b"far.", b"\0\3", 0.0)


def test_in_order() -> None:
    """Behind the first fragment the others are known at once."""
    fragments = Fragments(30.0)
    assert fragments.first(b"key", SESSION, 0.0) == []
    assert fragments.later(b"key", b"2", 1.0) is SESSION
    assert len(fragments) == 0


def test_out_of_order() -> None:
    """What came before the first fragment waits, and goes with it, in order."""
    fragments = Fragments(30.0)
    assert [fragments.later(b"key", packet, 0.0) for packet in (b"3", b"2")] == ["held", "held"]
    assert len(fragments) == 2
    assert fragments.first(b"key", SESSION, 1.0) == [b"3", b"2"]
    assert (len(fragments), fragments.lost) == (0, 0)


def test_too_late() -> None:
    """After its time a datagram is forgotten, and what waited for it lost."""
    fragments = Fragments(30.0)
    fragments.first(b"a", SESSION, 0.0)
    fragments.later(b"b", b"2", 10.0)
    fragments.expire(29.9)
    assert fragments.later(b"a", b"2", 29.9) is SESSION
    fragments.expire(30.0)
    assert fragments.later(b"a", b"2", 30.0) == "held"
    fragments.expire(40.0)
    assert (len(fragments), fragments.lost) == (1, 1)


def test_only_so_many_wait() -> None:
    """When enough wait, no more do; those of a known datagram pass."""
    fragments = Fragments(30.0)
    fragments.first(b"known", SESSION, 0.0)
    assert [fragments.later(b"%d" % n, b"", 0.0) for n in range(WAITING)] == ["held"] * WAITING
    assert fragments.later(b"more", b"", 0.0) == "fragments_full"
    assert fragments.later(b"known", b"", 0.0) is SESSION


def test_only_so_many_datagrams() -> None:
    """When there are enough datagrams the oldest is forgotten for a new one, with what waits for it."""
    fragments = Fragments(30.0)
    fragments.later(b"oldest", b"2", 0.0)
    for number in range(DATAGRAMS):
        fragments.first(b"%d" % number, SESSION, 0.0)
    assert (len(fragments), fragments.lost) == (0, 1)
    assert fragments.later(b"0", b"2", 0.0) is SESSION


def test_clear() -> None:
    """clear() forgets all, and counts what waited."""
    fragments = Fragments(30.0)
    fragments.later(b"a", b"2", 0.0)
    fragments.first(b"b", SESSION, 0.0)
    fragments.clear()
    assert (len(fragments), fragments.lost, fragments.later(b"b", b"2", 0.0)) == (0, 1, "held")
