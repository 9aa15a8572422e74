"""A stack that keeps what it is given, and packets to give it."""

from __future__ import annotations

from collections.abc import Callable

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


def open_device(kind: Callable[..., Device], *, up: bool = True, **options: int) -> Device:
    """A device in use: opened, and up."""
    device = kind("dev0", Stack(), **options)
    device.open()
    if up:
        device.set_up(True)
    return device


def open_tun(*, up: bool = True, **options: int) -> Device:
    return open_device(TunDevice, up=up, **options)


def open_tap(*, up: bool = True, **options: int) -> Device:
    return open_device(TapDevice, up=up, **options)


def stack_of(interface: Interface) -> Stack:
    stack = interface._stack
    assert isinstance(stack, Stack)
    return stack


def unit(make: Callable[..., Device]) -> bytes:
    """A packet that the device of this maker carries."""
    return FRAME if make is open_tap else IPV4


both = pytest.mark.parametrize("make", [open_tun, open_tap])
