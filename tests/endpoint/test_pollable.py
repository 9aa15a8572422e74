"""A descriptor with a level, as an eventfd and as a socket pair."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator

import pytest

from aiotun.endpoint.pollable import Pollable

Make = Callable[[bool], Pollable]


@pytest.fixture(params=["eventfd", "socketpair"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes pollables of both sorts, and closes them."""
    if request.param == "socketpair":
        monkeypatch.delattr(os, "eventfd", raising=False)
    elif not hasattr(os, "eventfd"):
        pytest.skip("this system has no eventfd")
    made: list[Pollable] = []

    def make_one(level: bool) -> Pollable:
        made.append(Pollable(level))
        return made[-1]

    yield make_one
    for pollable in made:
        pollable.close()


def polls_readable(pollable: Pollable) -> bool:
    return bool(select.select([pollable.fileno()], [], [], 0)[0])


@pytest.mark.parametrize("level", [False, True])
def test_the_first_level(make: Make, level: bool) -> None:
    """A pollable begins at the level it is made with."""
    assert polls_readable(make(level)) is level


def test_the_level_is_followed(make: Make) -> None:
    """The descriptor polls readable while the level is set."""
    pollable = make(False)
    states: list[bool] = []
    for level in (True, False, True):
        pollable.set(level)
        states.append(polls_readable(pollable))
    assert states == [True, False, True]


def test_setting_what_is_set(make: Make) -> None:
    """Setting the level it has changes nothing, however often."""
    pollable = make(False)
    for _ in range(1000):
        pollable.set(True)
    pollable.set(False)
    pollable.set(False)
    assert not polls_readable(pollable)


def test_close_on_exec_and_non_blocking(make: Make) -> None:
    """The descriptor is not inherited and does not block."""
    pollable = make(False)
    assert not os.get_inheritable(pollable.fileno())
    assert not os.get_blocking(pollable.fileno())


def test_closed(make: Make) -> None:
    """A closed pollable has given its descriptors back; closing again is nothing."""
    pollable = make(True)
    fd = pollable.fileno()
    pollable.close()
    pollable.close()
    assert pollable.fileno() == -1
    with pytest.raises(OSError):
        os.fstat(fd)
