"""
What a fork does to endpoints: a child has copies of their descriptors, and of an event loop that is not its own.

The copies share the parent's epoll: whatever a child unregisters there, the parent is deaf to (measured, asyncio and
uvloop). So in the child nothing leaves a loop. Whoever owns descriptors closes the child's copies, or a device would
outlive its owner in a forgotten child; and an endpoint says whose it is.
"""

from __future__ import annotations

import contextlib
import os
import sys
import weakref
from collections.abc import Callable
from typing import Any, NoReturn, Protocol, TypeVar

from .port import ClosedPort, Port
from .readiness import Readiness

__all__ = ["Abandoning", "ForkedPort", "abandon_in_child", "call_in_child", "close_copy"]

T = TypeVar("T")


class Abandoning(Protocol):
    """What must be given up in a forked child."""

    def abandon(self) -> None:
        """Close this process's copies of descriptors, and touch nothing else that the parent has: no event loop."""


_ALIVE: weakref.WeakKeyDictionary[Any, Callable[[Any], object]] = weakref.WeakKeyDictionary()


def abandon_in_child(owner: Abandoning) -> None:
    """Have abandon() called in every child that is forked while *owner* lives; does not keep it alive."""
    call_in_child(owner, type(owner).abandon)


def call_in_child(owner: T, function: Callable[[T], object]) -> None:
    """Have *function* called with *owner* in every child that is forked while that lives; does not keep it alive."""
    _ALIVE[owner] = function


def close_copy(fd: int) -> None:
    """
    Close a child's copy of a descriptor, if there is one.

    Not one that was made inheritable: it is for the program that the child is about to run. uvloop forks like this for
    every subprocess, and what is close-on-exec goes by itself then.
    """
    if fd != -1 and not os.get_inheritable(fd):
        os.close(fd)


def _forked() -> None:
    if sys._getframe(1).f_globals.get("__name__") == "subprocess":  # a preexec_fn, and then another program
        return
    with contextlib.ExitStack() as each:  # whatever one of them raises
        each.callback(_ALIVE.clear)
        for owner, function in tuple(_ALIVE.items()):
            each.callback(function, owner)


if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(after_in_child=_forked)


class ForkedPort(ClosedPort):
    """What an endpoint stands on in a forked child: it cannot be used there, and need not be closed."""

    def __init__(self, port: Port) -> None:
        # Not ClosedPort's: that asks for counters, and the answer would be the parent's.
        self.name = port.name
        self.mtu = port.mtu
        self.capabilities = port.capabilities
        self.readable = Readiness(f"receiving from {port.name}", level=True)
        self.writable = Readiness(f"sending to {port.name}", level=True)
        self._counters = None
        self._owner = os.getppid()

    def _refuse(self) -> NoReturn:
        raise RuntimeError(f"{self.name}: it belongs to process {self._owner}, which forked this one; open another")
