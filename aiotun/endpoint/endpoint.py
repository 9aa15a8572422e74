"""
The endpoint: where a program takes packets from a network interface and gives it packets.

Rules for changing this file:

* The ``*_nowait`` forms hold the logic; the async forms try, wait for readiness, try again.
* No packet crosses an await. It is in the device, in ``_held``, or in the caller's hands.
* Nothing on the way of a packet asks whether the endpoint is closed: after close the port is a
  ClosedPort, whose every operation raises.
"""

from __future__ import annotations

import asyncio
import errno
import math
import time
import warnings
import weakref
from collections import Counter, deque
from collections.abc import Sequence
from types import TracebackType
from typing import ClassVar, Literal, Self

from ..errors import ConcurrencyError, DeviceDown, DeviceError, DeviceGone, PacketError, QueueFull, WouldBlock
from .events import Event, EventKind, EventStream
from .iteration import BatchIterator, PacketIterator
from .port import Capabilities, ClosedPort, Port
from .statistics import Statistics
from .turn import turn

__all__ = ["BATCH", "Endpoint", "WhenDown"]

BATCH = 64
"""Packets taken from a device at one wake-up, at most."""

TIME_BUDGET = 0.001
"""Seconds that one batch served packet by packet may keep the loop from its turn, before batches shrink."""

BACK_OFF = 0.001
"""Seconds to let the system recover after it had no memory for a packet."""

WhenDown = Literal["wait", "raise"]
"""What receiving does while the interface is down: wait until it is up, or raise DeviceDown, the drivers' EHOSTDOWN."""


class Endpoint:
    """
    One end of a network interface, or of anything else that carries whole packets.

    Open one with ``open_tun()`` or ``open_tap()`` of a host. One task may receive while another sends.
    The endpoint owns its device: aclose(), or leaving ``async with``, frees it.
    """

    kind: ClassVar[str] = "endpoint"
    """``tun``, ``tap``, or what else carries the packets."""

    __slots__ = (
        "__weakref__",
        "_burst",
        "_closed",
        "_deleted",
        "_drained",
        "_dropped",
        "_held",
        "_limit",
        "_port",
        "_raise_down",
        "_receiving",
        "_sent_bytes",
        "_sent_packets",
        "_served_at",
        "_streams",
        "_taken_bytes",
        "_taken_packets",
        "_watching",
    )

    def __init__(self, port: Port, *, when_down: WhenDown = "wait") -> None:
        self._port = port
        self._raise_down = when_down == "raise"
        self._held: deque[bytes] = deque()
        self._receiving = False
        self._drained = False
        self._limit = BATCH
        self._served_at = math.inf
        self._burst = 0
        self._taken_packets = self._taken_bytes = 0
        self._sent_packets = self._sent_bytes = 0
        self._dropped: Counter[str] | None = None
        self._streams: weakref.WeakSet[EventStream] = weakref.WeakSet()
        self._deleted = False
        self._watching = False
        self._closed: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        state = " closed" if self.closed else ""
        return f"<{type(self).__name__} {self._port.name}{state}>"

    # --- what it is -------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The interface's name, asked of the device, so a rename shows."""
        self._port.refresh()
        return self._port.name

    @property
    def mtu(self) -> int:
        """The largest layer-3 packet the interface carries, in bytes, asked of the device."""
        self._port.refresh()
        return self._port.mtu

    @property
    def capabilities(self) -> Capabilities:
        """What was asked of the device when it was opened, and what it granted."""
        return self._port.capabilities

    @property
    def closed(self) -> bool:
        """Whether close has begun."""
        return isinstance(self._port, ClosedPort)

    def fileno(self) -> int:
        """
        Return a file descriptor for poll() and its kin: readable while the device has packets.

        The endpoint keeps owning it. Packets that recv() or ``async for`` read ahead are not
        seen by poll(): before polling, take packets with recv_nowait() until it would block.
        -1 once closed.
        """
        return self._port.fileno()

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

    def events(self) -> EventStream:
        """
        Return the interface's changes from now on: ``async for event in tun.events()``.

        Call it in the event loop. Streams are independent of each other and end with the endpoint.
        """
        stream = EventStream(self._port.name)
        if self.closed:
            stream.end()
        elif self._deleted:
            stream.publish(Event(EventKind.GONE))
        else:
            self._streams.add(stream)
            self._watch()
        return stream

    # --- receiving --------------------------------------------------------------------------------

    async def recv(self) -> bytes:
        """
        Receive the next packet.

        Waits while nothing is queued, and while the interface is down. Reads ahead up to 64 packets,
        which stay with the endpoint. Canceling is safe: no packet is lost.

        Returns:
            One whole packet: at most ``mtu`` bytes on a tun, plus the Ethernet header on a tap.

        Raises:
            DeviceClosed: If you closed the endpoint.
            DeviceDown: If the interface is down and the endpoint was opened with ``when_down="raise"``.
            DeviceGone: If the interface was deleted.
            ConcurrencyError: If another task is receiving.

        Modelled on tunread() in DragonFly sys/net/tun/if_tun.c and tap_dev_read() in NetBSD sys/net/if_tap.c.
        """
        if not self._held:
            await self._fill()
        return self._held.popleft()

    async def recv_many(self, limit: int = BATCH) -> list[bytes]:
        """
        Receive what is queued: 1 to *limit* packets, oldest first.

        Waits, is cancelled and raises like recv(). The loop gets a turn in every call.
        """
        if limit < 1:
            raise ValueError(f"a batch has at least 1 packet, not {limit}")
        if self._held:
            return self._take_held(limit)
        return await self._read(limit)

    def recv_nowait(self) -> bytes:
        """
        Return the next packet if there is one.

        Raises:
            WouldBlock: If nothing is queued, or the interface is down.
            DeviceClosed, DeviceDown, DeviceGone: Like recv().
        """
        if self._held:
            return self._held.popleft()
        return self.recv_many_nowait(1)[0]

    def recv_many_nowait(self, limit: int = BATCH) -> list[bytes]:
        """Return 1 to *limit* packets, oldest first; raise like recv_nowait()."""
        if limit < 1:
            raise ValueError(f"a batch has at least 1 packet, not {limit}")
        batch = self._take_held(limit) if self._held else self._read_now(limit)
        if not batch:
            self._check_up()
            raise WouldBlock(errno.EAGAIN, f"{self._port.name}: no packet is queued")
        return batch

    async def readable(self) -> None:
        """Wait until recv_nowait() is worth a try; may return early. Raises like recv(), and takes nothing."""
        if self._held:
            await turn()
            return
        with _Receiving(self):
            self._check_up()
            await self._port.readable.wait()
            if self.closed:
                self._port.read_many(0)  # says so

    def __aiter__(self) -> PacketIterator:
        """Iterate over packets. A break or a cancel loses none: iterate again, and it goes on where it was."""
        return PacketIterator(self)

    def batches(self, limit: int = BATCH) -> BatchIterator:
        """Iterate over batches of 1 to *limit* packets: the fastest way to receive."""
        return BatchIterator(self, limit)

    # --- sending ----------------------------------------------------------------------------------

    async def send(self, packet: bytes) -> None:
        """
        Send one packet.

        Waits while the device has no room; tun and tap devices always have, as the drivers' write does
        not sleep. A cancelled send was either written once or not at all.

        Raises:
            DeviceClosed: If you closed the endpoint.
            DeviceDown: If the interface is down.
            DeviceGone: If the interface was deleted.
            PacketTooBig: If the packet is longer than the interface carries.
            PacketError: If it is shorter than its header.
            UnsupportedFamily: If it is neither IPv4 nor IPv6 (tun).
            ConcurrencyError: If another task waits for room.

        Modelled on tunwrite() in DragonFly sys/net/tun/if_tun.c and tap_dev_write() in NetBSD sys/net/if_tap.c.
        """
        await self.send_many((packet,))

    async def send_many(self, batch: Sequence[bytes], *, drop: bool = False) -> None:
        """
        Send packets in order.

        Waits like send(), and lets the loop have a turn every 64 packets. If cancelled in between, a front
        part of the batch was sent, each packet once.

        Args:
            batch: The packets. All are checked before the first is sent: if one is unfit, none is sent.
            drop: For whoever forwards what others sent: drop packets that are unfit or that the device
                refuses, count them in ``statistics().dropped`` by reason, and send the others.

        Raises:
            As send(). ``sent`` of a DeviceError says how many packets went out before it. With *drop*
            only the end is raised: DeviceClosed and DeviceGone.
        """
        if drop:
            batch = self._fit(batch)
        else:
            self._check(batch)
        start = 0
        while start < len(batch):
            if self._burst >= BATCH:
                self._burst = 0
                await turn()
            chunk = batch if not start and len(batch) <= BATCH else batch[start : start + BATCH]
            try:
                sent = self._write(chunk, start)
            except DeviceError as error:
                if not drop or isinstance(error, DeviceGone):
                    raise
                self._drop(error.reason, 1)
                batch = batch[error.sent + 1 :]
                start = 0
                continue
            self._burst += sent
            start += sent
            if not sent:
                await self._port.writable.wait()

    def send_nowait(self, packet: bytes) -> None:
        """
        Send one packet now.

        Raises:
            WouldBlock: If the device has no room.
            As send() otherwise.
        """
        self.send_many_nowait((packet,))

    def send_many_nowait(self, batch: Sequence[bytes]) -> int:
        """
        Send packets from the front of *batch* until the device has no room, and return how many.

        Raises:
            WouldBlock: If not even the first could be sent.
            As send_many() otherwise.
        """
        self._check(batch)
        sent = self._write(batch, 0)
        if batch and not sent:
            raise WouldBlock(errno.EAGAIN, f"{self._port.name}: no room to send")
        return sent

    async def writable(self) -> None:
        """Wait until send_nowait() is worth a try; may return early. On a device that is down, waits for up."""
        await self._port.writable.wait()
        if self.closed:
            self._port.write_many(())  # says so

    # --- ending -----------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """
        Close the endpoint and free its device.

        Tasks waiting in it get DeviceClosed, or the end of their iteration; a task that sends gets
        DeviceClosed, so end your tasks first where that would be an error. When this returns, no file
        descriptor, task or callback is left and the name can be opened again; statistics() keeps the
        last figures. Idempotent; if cancelled, everything is freed first.
        """
        if not self.closed:
            loop = asyncio.get_running_loop()
            port = self._retire(ClosedPort(self._port))
            self._closed = loop.create_future()
            self._drop("closed", len(self._held))
            self._held.clear()
            try:
                await port.aclose()
            finally:
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
        """
        closed = ClosedPort(self._port)  # while the descriptor can still be asked
        fd = self._port.detach()
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
                port.close_now()

    # --- inside -----------------------------------------------------------------------------------

    async def _fill(self) -> None:
        """Hold at least one packet. What one batch costs the consumer decides the size of the next."""
        elapsed = time.perf_counter() - self._served_at
        if elapsed > TIME_BUDGET:
            self._limit = max(1, int(self._limit * TIME_BUDGET / elapsed))
        else:  # by doubling: a jump back to BATCH would let a slow consumer have every other batch whole
            self._limit = min(BATCH, self._limit * 2)
        try:
            self._held.extend(await self._read(self._limit))
        finally:
            self._served_at = time.perf_counter()

    async def _read(self, limit: int) -> list[bytes]:
        """Read a batch, waiting for it. After a short batch the device is empty: wait before trying it."""
        with _Receiving(self):
            if not self._drained:
                await turn()
            while True:
                if not self._drained:
                    batch = self._read_now(limit)
                    if batch:
                        return batch
                self._check_up()
                if self._drained:
                    await self._port.readable.wait()
                    self._drained = False
                else:
                    await asyncio.sleep(BACK_OFF)

    def _read_now(self, limit: int) -> list[bytes]:
        try:
            batch = self._port.read_many(limit)
        except QueueFull:  # the kernel had no memory for it: not fatal, and not empty either
            self._drop("no_memory", 1)
            self._drained = False
            return []
        except DeviceGone:
            self._gone()
            raise
        self._drained = len(batch) < limit
        self._taken_packets += len(batch)
        self._taken_bytes += sum(map(len, batch))
        return batch

    def _take_held(self, limit: int) -> list[bytes]:
        held = self._held
        return [held.popleft() for _ in range(min(limit, len(held)))]

    def _write(self, batch: Sequence[bytes], start: int) -> int:
        """Write what fits of *batch*, which begins at index *start* of what the caller sends."""
        try:
            sent = self._port.write_many(batch)
        except DeviceError as error:
            self._count_sent(batch[: error.sent])
            error.sent += start
            if isinstance(error, DeviceGone):
                self._gone()
            raise
        self._count_sent(batch if sent == len(batch) else batch[:sent])
        return sent

    def _count_sent(self, batch: Sequence[bytes]) -> None:
        self._sent_packets += len(batch)
        self._sent_bytes += sum(map(len, batch))

    def _fit(self, batch: Sequence[bytes]) -> Sequence[bytes]:
        """Return the packets that are fit for the device; drop and count the others."""
        try:
            self._check(batch)
            return batch
        except (DeviceError, PacketError):
            return [packet for packet in batch if self._is_fit(packet)]

    def _is_fit(self, packet: bytes) -> bool:
        try:
            self._check((packet,))
        except (DeviceError, PacketError) as error:
            self._drop(error.reason, 1)
            return False
        return True

    def _check(self, batch: Sequence[bytes]) -> None:
        """Raise if a packet is unfit for the device. Without a rule of its own a medium carries anything."""

    def _check_up(self) -> None:
        """Raise DeviceDown if that is what the owner asked for."""
        if self._raise_down:
            self._watch()
            if not self._port.is_up():
                raise DeviceDown(f"{self._port.name}: the interface is down")

    def _drop(self, reason: str, count: int) -> None:
        if count:
            if self._dropped is None:
                self._dropped = Counter()
            self._dropped[reason] += count

    def _watch(self) -> None:
        if not self._watching:
            self._watching = True
            self._port.watch(self._tell)

    def _tell(self, event: Event) -> None:
        """Take note of a change of the interface."""
        for stream in self._streams:
            stream.publish(event)
        if event.kind is EventKind.DOWN and self._raise_down:
            self._port.readable.wake()
        elif event.kind is EventKind.GONE:
            self._gone()

    def _gone(self) -> None:
        """Leave the loop before anybody hears of it: a deleted device polls ready for ever."""
        port = self._port
        port.disarm()
        self._deleted = True
        self._drained = False
        port.readable.wake()
        port.writable.wake()
        for stream in self._streams:
            stream.publish(Event(EventKind.GONE))
        self._streams.clear()

    def _retire(self, closed: ClosedPort) -> Port:
        """Close towards the application, and return the port, which has left the loop."""
        port = self._port
        self._port = closed
        port.disarm()
        self._drained = False
        port.readable.wake()
        port.writable.wake()
        for stream in self._streams:
            stream.end()
        self._streams.clear()
        return port


class _Receiving:
    """The rule "one reader", held for as long as a task may be waiting."""

    __slots__ = ("_endpoint",)

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def __enter__(self) -> None:
        if self._endpoint._receiving:
            raise ConcurrencyError(f"{self._endpoint._port.name}: another task is already receiving")
        self._endpoint._receiving = True

    def __exit__(self, *_: object) -> None:
        self._endpoint._receiving = False
