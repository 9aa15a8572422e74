"""
A rig: one endpoint under test, and a hand on the network side of it.

The conformance suite asks nothing else of a host. To prove an endpoint of your own, write a rig for
it and give check_endpoint() a function that opens one.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from ..endpoint import Endpoint
from ..packet import Ethernet, IPv4

__all__ = ["Inapplicable", "MakeRig", "Rig"]

NUMBER = 8
"""Bytes of payload that carry a packet's number."""


class Inapplicable(Exception):
    """The endpoint has nothing of the sort, so a check that asks for it says nothing about it."""


class Rig(abc.ABC):
    """
    An open endpoint called ``endpoint``, whose interface is up and has nothing queued.

    What an endpoint of this kind has nothing of, such as an mtu that changes, its rig refuses with Inapplicable.
    """

    endpoint: Endpoint

    # --- the network side -------------------------------------------------------------------------

    @abc.abstractmethod
    def output(self, batch: list[bytes]) -> None:
        """Send packets out of the stack through the interface, as far as its queue has room; does not wait."""

    @abc.abstractmethod
    async def input(self, count: int) -> list[bytes]:
        """Return the next *count* packets that entered the stack through the interface; wait for them."""

    @abc.abstractmethod
    def set_up(self, up: bool) -> None:
        """Bring the interface up or down."""

    @abc.abstractmethod
    def set_mtu(self, mtu: int) -> None:
        """Set the interface's mtu, in bytes."""

    @abc.abstractmethod
    def delete(self) -> None:
        """Delete the interface under the endpoint."""

    @abc.abstractmethod
    async def reopen(self) -> Endpoint:
        """Open one more endpoint under the same name, for the caller to close."""

    # --- packets ----------------------------------------------------------------------------------

    def packet(self, number: int, size: int = 64) -> bytes:
        """
        Return a packet of *size* bytes, or a frame around one, that says *number*.

        From and to addresses for documentation (RFC 5737), of the protocol for experiments (253, RFC 3692):
        no stack answers it.
        """
        payload = number.to_bytes(NUMBER, "big").ljust(size - 20, b"\0")
        return self.frame(IPv4("192.0.2.1", "198.51.100.1", 253, payload).build())

    def number(self, packet: bytes) -> int:
        """Return what packet() put in."""
        start = self.header + 20
        return int.from_bytes(packet[start : start + NUMBER], "big")

    @property
    def header(self) -> int:
        """Bytes in front of the layer-3 packet."""
        return 14 if self.endpoint.kind == "tap" else 0

    def frame(self, packet: bytes) -> bytes:
        """Return *packet* as this endpoint carries it: on a tap in a frame for experiments (IEEE 802, 0x88b5)."""
        if not self.header:
            return packet
        return Ethernet("02:00:00:00:00:02", "02:00:00:00:00:01", 0x88B5, packet).build()


MakeRig = Callable[..., AbstractAsyncContextManager[Rig]]
"""Opens a rig. Keyword arguments go to ``open_tun()`` or ``open_tap()``: ``when_down``, ``queue_length``."""
