"""A stack that keeps what it is given, packets to give it, devices in use, and a loop whose clock we move."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aiotun.driver import Device, Interface, TapDevice, TunDevice
from aiotun.endpoint import Event

IPV4 = bytes.fromhex("4500002800000000400100007f0000017f000001") + bytes(20)
IPV6 = bytes.fromhex("6000000000003b40").ljust(40, b"\0")
FOREIGN = bytes(40)
FRAME = bytes.fromhex("0200000000010200000000020800") + IPV4


class Stack:
    """Keeps every packet that enters, and through which interface."""

    def __init__(self) -> None:
        self.entered: list[bytes] = []
        self.interfaces: set[Interface] = set()

    def __call__(self, interface: Interface, batch: list[bytes]) -> None:
        self.interfaces.add(interface)
        self.entered += batch


class Listener:
    """Keeps every event it is told."""

    def __init__(self) -> None:
        self.told: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.told.append(event)


Make = Callable[..., Device]


def open_tun(*, up: bool = True, bare: bool = False, **options: Any) -> TunDevice:
    """A tun in use: opened, and up."""
    tun = TunDevice("dev0", Stack(), **options)
    tun.open()
    tun.bare = bare
    if up:
        tun.set_up(True)
    return tun


def open_tap(*, up: bool = True, **options: Any) -> TapDevice:
    """A tap in use: opened, and up."""
    tap = TapDevice("dev0", Stack(), **options)
    tap.open()
    if up:
        tap.set_up(True)
    return tap


def stack_of(interface: Interface) -> Stack:
    stack = interface._stack
    assert isinstance(stack, Stack)
    return stack


def unit(make: Make) -> bytes:
    """A packet that the device of this maker carries."""
    return FRAME if make is open_tap else IPV4


both = pytest.mark.parametrize("make", [open_tun, open_tap])


class SimulatedLoop(asyncio.SelectorEventLoop):
    """A loop whose clock stands still until it is moved."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def time(self) -> float:
        return self.now


def simulated(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test on a SimulatedLoop."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def main() -> None:
            await test(*args, **kwargs)

        with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
            runner.run(main())

    return run


def advance(seconds: float) -> None:
    """Move the clock of the running SimulatedLoop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    loop.now += seconds
