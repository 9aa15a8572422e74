"""How many packets an output took."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aiotun.errors import DeviceClosed, DeviceDown, PacketError, QueueFull, WouldBlock
from aiotun.stages.sending import sent


def full(count: int) -> QueueFull:
    """An error after some were sent."""
    error = QueueFull("x: full")
    error.sent = count
    return error


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(0, 0), (2, 2), (None, 3), (True, 3), ([], 3)],
    ids=["none", "some", "None", "True", "list"],
)
def test_what_it_returns(answer: object, expected: int) -> None:
    """A number is how many; anything else says that all were taken."""
    assert sent(lambda batch: answer, [b"1", b"2", b"3"]) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (WouldBlock(), 0),
        (DeviceDown("x: down"), 0),
        (full(2), 2),
        (PacketError("no packet"), 0),
        (DeviceClosed("x: closed"), 0),
    ],
)
def test_what_it_raises(error: Exception, expected: int) -> None:
    """A refusal took what went out before it."""
    assert sent(_raising(error), [b"1", b"2", b"3"]) == expected


def test_a_mistake_is_raised() -> None:
    """What is no refusal is somebody's mistake, and not hidden."""
    with pytest.raises(ZeroDivisionError):
        sent(_raising(ZeroDivisionError()), [b"1"])


def _raising(error: Exception) -> Callable[[Any], Any]:
    def output(batch: Any) -> Any:
        raise error

    return output
