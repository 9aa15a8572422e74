"""
A link in memory: two endpoints joined in process, for simulation and tests.

What it does to packets is an Impairment for each direction, timed by the event loop's clock, with one timer a
direction: on a loop whose clock jumps, hours take milliseconds. An unimpaired pair passes whole batches across.
"""

from __future__ import annotations

import random
from typing import Literal

from ..endpoint import WhenDown
from .channel import Channel
from .memory_impairment import Impairment
from .memory_port import MemoryPort
from .memory_wire import Wire, WireStatistics

__all__ = ["MemoryChannel", "WhenFull", "memory_pair"]

WhenFull = Literal["wait", "drop"]
"""What a direction that is full does: let the sender wait, or drop, as a network does."""

LARGEST = 65535


class MemoryChannel(Channel):
    """
    One end of a link in memory, with the face of every endpoint; made by memory_pair().

    When the other end is closed, what is under way arrives, and then receiving raises DeviceGone; sending does at
    once. While the link is down receiving waits, or what ``when_down`` says, and sending raises DeviceDown.
    """

    __slots__ = ("_link",)
    kind = "memory"

    def __init__(self, port: MemoryPort, *, when_down: WhenDown = "wait") -> None:
        super().__init__(port, when_down=when_down)
        self._link = port  # the link goes on when this end is closed: what it sent is still under way

    def outgoing(self) -> WireStatistics:
        """Return what became of the packets that this end sent, also after it was closed."""
        return self._link.outgoing().statistics()

    def impair(self, impairment: Impairment) -> None:
        """Do this from now on to what this end sends; packets under way arrive as they were to."""
        self._link.outgoing().impair(impairment)

    def set_link(self, up: bool) -> None:
        """
        Bring the link down, or up again, for both ends, which hear of it in events().

        Packets under way are dropped, counted as ``link_down``; those that have arrived can be received.
        """
        self._link.set_link(up)

    def set_mtu(self, mtu: int) -> None:
        """Set the longest packet, in bytes, for both ends, which hear of it in events()."""
        if mtu < 1:
            raise ValueError(f"{self._port.name}: an mtu is at least 1, not {mtu}")
        self._link.set_mtu(mtu)


def memory_pair(
    there: Impairment | None = None,
    back: Impairment | None = None,
    *,
    seed: int = 0,
    mtu: int = LARGEST,
    limit: int = 1000,
    limit_bytes: int = 16 << 20,
    when_full: WhenFull = "wait",
    when_down: WhenDown = "wait",
    names: tuple[str, str] = ("memory a", "memory b"),
) -> tuple[MemoryChannel, MemoryChannel]:
    """
    Return two channels that are each other's peer, in this process; the caller closes both. Does not wait.

    Both are of one event loop.

    Args:
        there: What is done to packets from the first to the second; nothing if not given.
        back: What is done to packets from the second to the first; the same if not given.
        seed: What all chance comes from: the same packets meet the same fate, in whatever batches they are sent.
        mtu: The longest packet, in bytes.
        limit: Packets that one direction holds, at most: waiting to leave, under way, or waiting to be received.
        limit_bytes: Bytes of packets that one direction holds, at most.
        when_full: What happens to packets beyond: their sender waits, or they are dropped as ``queue_full``.
        when_down: What receiving does while the link is down.
        names: What the ends are called.
    """
    if when_full not in ("wait", "drop"):
        raise ValueError(f'when_full is "wait" or "drop", not {when_full!r}')
    if min(mtu, limit, limit_bytes) < 1:
        raise ValueError(f"mtu, limit and limit_bytes are at least 1, not {mtu}, {limit}, {limit_bytes}")
    for given in (there, back):
        if not isinstance(given, Impairment | None):
            raise TypeError(f"memory_pair: a way is an Impairment, such as Impairment(delay=0.01), not {given!r}")
    forth = there or Impairment()

    def wire(impairment: Impairment, way: str) -> Wire:
        chance = random.Random(f"{seed} {way}")
        return Wire(impairment, chance, limit=limit, limit_bytes=limit_bytes, drops=when_full == "drop")

    first = MemoryPort(names[0], mtu, wire(back or forth, "back"))
    second = MemoryPort(names[1], mtu, wire(forth, "there"))
    first.join(second)
    return MemoryChannel(first, when_down=when_down), MemoryChannel(second, when_down=when_down)
