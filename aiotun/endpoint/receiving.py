"""
Receiving: from the device to the program.

Rules for changing this file:

* The ``*_nowait`` forms hold the logic; the async forms try, wait for readiness, try again.
* No packet crosses an await. It is in the device, in ``_held``, or in the caller's hands.
"""

from __future__ import annotations

import asyncio
import errno
import math
import time
from functools import partial

from ..batch import nbytes
from ..errors import ConcurrencyError, DeviceGone, QueueFull, WouldBlock
from .attachment import BATCH, Attachment
from .iteration import BatchIterator, PacketIterator
from .port import Port
from .turn import turn

__all__ = ["Receiving"]

READ_AHEAD = 2 * BATCH
"""Packets read at a time, at most, for who takes them one by one, and quickly; see docs/design.md."""

TIME_BUDGET = 0.001
"""Seconds that one batch served packet by packet may keep the loop from its turn, before batches shrink."""

BACK_OFF = 0.001
"""Seconds to let the system recover after it had no memory for a packet."""


class Receiving(Attachment):
    """The receiving half of an endpoint."""

    __slots__ = ("_held", "_limit", "_receiving", "_served_at")

    def __init__(self, port: Port, *, raise_down: bool) -> None:
        super().__init__(port, raise_down=raise_down)
        # Newest first, so that pop() takes the oldest: an empty deque is 760 bytes where a list is 56.
        self._held: list[bytes] = []
        self._receiving = False
        self._limit = BATCH
        self._served_at = math.inf

    async def recv(self) -> bytes:
        """
        Receive the next packet.

        Waits while nothing is queued, and while the interface is down. Reads ahead up to 128 packets,
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
        return self._held.pop()

    async def recv_many(self, limit: int = BATCH, *, superpackets: bool = False) -> list[bytes]:
        """
        Receive what is queued: 1 to *limit* packets, oldest first.

        Waits, is cancelled and raises like recv(). The loop gets a turn in every call.

        Args:
            limit: Packets to receive at most.
            superpackets: Take super-packets in one piece, each as one packet, where the endpoint has them; otherwise
                they come as the packets they stand for.
        """
        if limit < 1:
            raise ValueError(f"a batch has at least 1 packet, not {limit}")
        if self._held:
            return self._take_held(limit)
        return await self._read(limit, superpackets)

    def recv_nowait(self) -> bytes:
        """
        Return the next packet if there is one.

        Raises:
            WouldBlock: If nothing is queued, or the interface is down.
            DeviceClosed, DeviceDown, DeviceGone: Like recv().
        """
        if self._held:
            return self._held.pop()
        return self.recv_many_nowait(1)[0]

    def recv_many_nowait(self, limit: int = BATCH, *, superpackets: bool = False) -> list[bytes]:
        """Return 1 to *limit* packets, oldest first, as recv_many() does; raise like recv_nowait()."""
        if limit < 1:
            raise ValueError(f"a batch has at least 1 packet, not {limit}")
        batch = self._take_held(limit) if self._held else self._read_now(limit, superpackets)
        if not batch:
            self._check_up()
            raise WouldBlock(errno.EAGAIN, f"{self._port.name}: no packet is queued")
        return batch

    async def readable(self) -> None:
        """Wait until recv_nowait() is worth a try; may return early. Raises like recv(), and takes nothing."""
        if self._held or self._port.more:
            await turn()
            return
        self._begin()
        try:
            self._check_alive()
            self._check_up()
            await self._port.readable.wait()
            if self.closed:
                self._port.read_many(0)  # says so
        finally:
            self._receiving = False

    def __aiter__(self) -> PacketIterator:
        """Iterate over packets. A break or a cancel loses none: iterate again, and it goes on where it was."""
        return PacketIterator(self._held.pop, self._fill)

    def batches(self, limit: int = BATCH, *, superpackets: bool = False) -> BatchIterator:
        """Iterate over batches of 1 to *limit* packets: the fastest way to receive. Arguments as recv_many()."""
        recv_many = partial(self.recv_many, superpackets=True) if superpackets else self.recv_many
        return BatchIterator(recv_many, limit)

    # --- inside -----------------------------------------------------------------------------------

    async def _fill(self) -> None:
        """Hold at least one packet. What one batch costs the consumer decides the size of the next."""
        elapsed = time.perf_counter() - self._served_at
        if elapsed > TIME_BUDGET:
            self._limit = max(1, int(self._limit * TIME_BUDGET / elapsed))
        elif elapsed >= 0 and self._limit < READ_AHEAD:
            # By doubling: a jump back would let a slow consumer have every other batch whole.
            self._limit = min(READ_AHEAD, self._limit * 2)
        try:
            batch = await self._read(self._limit)
            batch.reverse()  # it is ours; to extend by reversed(batch) takes twice as long
            self._held.extend(batch)
        finally:
            self._served_at = time.perf_counter()

    async def _read(self, limit: int, superpackets: bool = False) -> list[bytes]:
        """Read a batch, waiting for it. After a short batch the device is empty: wait before trying it."""
        self._begin()
        try:
            if not self._drained:
                await turn()
            while True:
                if not self._drained:
                    batch = self._read_now(limit, superpackets)
                    if batch:
                        return batch
                self._check_up()
                if self._drained:
                    await self._port.readable.wait()
                    self._drained = False
                else:
                    await asyncio.sleep(BACK_OFF)
        finally:
            self._receiving = False

    def _begin(self) -> None:
        """Begin to receive: one reader, for as long as it may be waiting."""
        if self._receiving:
            raise ConcurrencyError(f"{self._port.name}: another task is already receiving")
        self._receiving = True

    def _read_now(self, limit: int, superpackets: bool = False) -> list[bytes]:
        port = self._port
        try:
            batch = port.read_whole(limit) if superpackets else port.read_many(limit)
        except QueueFull:  # the kernel had no memory for it: not fatal, and not empty either
            self._drop("no_memory", 1)
            self._drained = False
            return []
        except DeviceGone:
            self._gone()
            raise
        self._drained = len(batch) < limit and not port.more
        self._taken_packets += len(batch)
        self._taken_bytes += nbytes(batch)
        return batch

    def _take_held(self, limit: int) -> list[bytes]:
        held = self._held
        return [held.pop() for _ in range(min(limit, len(held)))]
