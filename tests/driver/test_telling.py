"""Who hears of an interface's changes, in which order, and what a listener's fault does."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from aiotun.endpoint import Event, EventKind

from .fakes import Listener, Make, both, open_tun


def kinds(listener: Listener) -> list[EventKind]:
    return [event.kind for event in listener.told]


def fail(event: Event) -> None:
    raise RuntimeError("a fault")


@both
def test_a_fault_of_a_listener_stops_nobody(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """The others are told, and the interface is deleted to the end; without a loop the log has the fault."""
    device, listener = make(), Listener()
    device.listen(fail)
    device.listen(listener)
    with caplog.at_level(logging.ERROR, "aiotun.driver"):
        device.destroy()
    assert kinds(listener) == [EventKind.DOWN, EventKind.GONE]
    assert [record.message for record in caplog.records] == [
        "dev0: a listener failed over down",
        "dev0: a listener failed over gone",
    ]


async def test_a_fault_goes_to_the_loops_handler() -> None:
    """In a loop its exception handler hears of the fault."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    device = open_tun()
    device.listen(fail)
    device.set_mtu(1400)
    assert [context["message"] for context in reported] == ["dev0: a listener failed over mtu"]
    assert isinstance(reported[0]["exception"], RuntimeError)


@both
def test_everybody_hears_the_same_order(make: Make) -> None:
    """What a listener makes happen comes after what it was told, for those behind it as well."""
    device, listener = make(), Listener()
    device.listen(lambda event: device.set_up(True) if event.kind is EventKind.DOWN else None)
    device.listen(listener)
    device.set_up(False)
    assert kinds(listener) == [EventKind.DOWN, EventKind.UP]


@both
def test_a_listener_may_delete_the_interface(make: Make) -> None:
    """Deleted while it tells: GONE comes last, and to everybody."""
    device, listener = make(), Listener()
    device.listen(lambda event: device.destroy())
    device.listen(listener)
    device.set_mtu(1400)
    assert kinds(listener) == [EventKind.MTU, EventKind.DOWN, EventKind.GONE]


@both
def test_a_listener_taken_away_meanwhile_is_not_told(make: Make) -> None:
    """One listener may take another away before its turn."""
    device, listener = make(), Listener()
    device.listen(lambda event: device.unlisten(listener))
    device.listen(listener)
    device.set_mtu(1400)
    assert listener.told == []


@both
def test_after_the_end_nobody_listens(make: Make) -> None:
    """GONE is the last that a listener hears; one that comes later hears it at once."""
    device, late = make(), Listener()
    device.destroy()
    device.listen(late)
    assert (kinds(late), device._listeners) == ([EventKind.GONE], [])
