"""The endpoint: where a program takes packets from a network interface and gives it packets."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from types import TracebackType
from typing import Literal, Self

from ..batch import nbytes
from ..errors import DeviceError
from .attachment import BATCH
from .forking import ForkedPort, call_in_child
from .port import ClosedPort, Port
from .receiving import Receiving
from .sending import Sending
from .statistics import Statistics
from .turn import turn

__all__ = ["Endpoint", "WhenDown"]

DISCARD = 64
"""Batches read and dropped at close, at most: a flood must not hold it up."""

WhenDown = Literal["wait", "raise"]
"""What receiving does while the interface is down: wait until it is up, or raise DeviceDown, the drivers' EHOSTDOWN."""


class Endpoint(Receiving, Sending):
    """
    One end of a network interface, or of anything else that carries whole packets.

    Open one with ``open_tun()`` or ``open_tap()`` of a host. One task may receive while another sends.
    The endpoint owns its device: aclose(), or leaving ``async with``, frees it. It is of the event loop that
    first waits in it, until that loop ends, and of the process that opened it: a forked child cannot use it.
    """

    __slots__ = ("_closed",)

    def __init__(self, port: Port, *, when_down: WhenDown = "wait") -> None:
        if when_down not in ("wait", "raise"):
            raise ValueError(f'when_down is "wait" or "raise", not {when_down!r}')
        super().__init__(port, raise_down=when_down == "raise")
        self._closed: asyncio.Future[None] | None = None
        call_in_child(self, Endpoint._abandon)

    def statistics(self) -> Statistics:
        """Return what was counted so far. May ask the kernel for its counters; never waits."""
        return Statistics(
            taken_packets=self._taken_packets,
            taken_bytes=self._taken_bytes,
            held_packets=len(self._held),
            sent_packets=self._sent_packets,
            sent_bytes=self._sent_bytes,
            dropped=dict(self._dropped or {}),
            interface=self._port.counters(),
        )

    async def aclose(self) -> None:
        """
        Close the endpoint and free its device.

        Tasks waiting in it get DeviceClosed, or the end of their iteration; a task that sends gets
        DeviceClosed, so end your tasks first where that would be an error. When this returns, no file
        descriptor, task or callback is left and the name can be opened again; statistics() keeps the
        last figures. Idempotent; if cancelled, everything is freed first.

        Raises:
            RuntimeError: If it is used in the event loop of another thread, and that runs still.
        """
        if not self.closed:
            self._check_here("close it")
            loop = asyncio.get_running_loop()
            self._discard()
            closed = ClosedPort(self._port)
            port = self._retire(closed)
            self._closed = loop.create_future()
            try:
                await port.aclose()
            finally:
                closed.keep(port.counters())
                self._closed.set_result(None)
        elif self._closed is not None and not self._closed.done():
            await asyncio.shield(self._closed)
        await turn()

    def detach_fd(self) -> int:
        """
        Give the device's file descriptor to the caller, who owns it from now on; the endpoint is closed.

        The device lives on. Packets read ahead remain: take them with recv_nowait() until DeviceClosed.

        Raises:
            DeviceClosed: If the endpoint is closed.
            RuntimeError: If it is used in the event loop of another thread, and that runs still.
        """
        self._check_here("give it away")
        closed = ClosedPort(self._port)  # while the descriptor can still be asked
        left = self._port.read_left()
        fd = self._port.detach()
        self._held[:0] = reversed(left)
        self._taken_packets += len(left)
        self._taken_bytes += nbytes(left)
        self._retire(closed)
        return fd

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        port: Port | None = getattr(self, "_port", None)
        if port is not None and not isinstance(port, ClosedPort):
            try:
                warnings.warn(f"{self!r} was never closed", ResourceWarning, stacklevel=2, source=self)
            finally:  # a warning may be an error
                self._free(port)

    def _abandon(self) -> None:
        """Be unusable, in a forked child; the descriptors are closed by who opened them."""
        if not self.closed:
            self._port = ForkedPort(self._port)
            self._held.clear()  # the parent has these packets
            self._receiving = False
        self._watched_in = self._closed = None

    def _free(self, port: Port) -> None:
        """Close what nobody will: a loop of another thread, if that is where it is used, by itself."""
        elsewhere = self._used_elsewhere()
        if elsewhere is None:
            port.close_now()
        else:
            elsewhere.call_soon_threadsafe(port.close_now)

    def _discard(self) -> None:
        """Drop and count what nobody will receive: what was read ahead, and what the device still has queued."""
        self._drop("closed", len(self._held))
        self._held.clear()
        with contextlib.suppress(DeviceError):
            left = DISCARD * BATCH
            while left > 0:
                batch = self._read_now(BATCH, superpackets=True)
                self._drop("closed", len(batch))
                left -= max(1, len(batch))
                if self._drained:
                    break

    def _retire(self, closed: ClosedPort) -> Port:
        """Close towards the application, and return the port, which has left the loop."""
        port = self._port
        self._port = closed
        port.disarm()
        self._drained = False
        port.readable.wake()
        port.writable.wake()
        for stream in self._streams or ():
            stream.end()
        self._streams = None
        return port
