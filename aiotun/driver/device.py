"""
The application side of an in-process interface: open, read, write, close, and whom to wake.

What the two drivers share. Where they differ (what is counted when, what a write is checked for) is
in ``tun`` and ``tap``.
"""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable, Sequence
from typing import ClassVar

from ..endpoint import Readiness
from ..errors import DeviceBusy, DeviceClosed, DeviceDown, DeviceError, DeviceGone, WouldBlock
from ..pipeline import Batch, stage
from ..queueing import Discipline
from .bpf import DLT, BpfIf
from .ifnet import UP
from .interface import IFQ_MAXLEN, Stack
from .kqueue import Knote, check_filter
from .nodes import Credentials
from .offloading import Offloading

__all__ = ["Device"]

READ = select.POLLIN | getattr(select, "POLLRDNORM", 0)
WRITE = select.POLLOUT | getattr(select, "POLLWRNORM", 0)


class Device(Offloading):
    """An interface with a character device: what the stack outputs is read, what is written is input."""

    dlt: ClassVar[DLT]
    """What bpf sees in front of each packet."""
    bare = False
    """Whether an endpoint has the device open: its packets have nothing in front."""
    dies_with_close = False
    """Whether the interface is deleted when the device is closed, for it was made by opening it."""
    pid: int | None = None
    """The process that has the device open, or None."""
    nonblocking = False
    """Whether a read never sleeps (FIONBIO)."""
    _write_refusal: DeviceError | None = None
    """Why the packet refused last was refused; apart from output's, for the stack may output while it takes input."""
    unknown_filter: ClassVar[int]
    """The errno of an event filter that the driver does not have."""

    def __init__(
        self, name: str, stack: Stack, *, mtu: int = 1500, queue_length: int = IFQ_MAXLEN, snd: Discipline | None = None
    ) -> None:
        super().__init__(name, stack, mtu=mtu, queue_length=queue_length, snd=snd)
        self.writable = Readiness(f"sending to {name}", level=True)
        self.bpf = BpfIf(self.dlt, name, inject=self.inject)
        """Where packet filters listen."""

    # --- open and close ---------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether an application has the device open."""
        return self.pid is not None

    def open(self, credentials: Credentials | None = None) -> None:
        """
        Take the device for the one with these *credentials*, by default this process; one at a time.

        Raises:
            DeviceBusy: If it is open already.
            DeviceGone: If the interface was deleted.

        Modelled on tunopen() in DragonFly if_tun.c and tap_cdev_open() in NetBSD if_tap.c.
        """
        self.check_alive()
        if self.pid is not None:
            raise DeviceBusy(f"{self.name}: held by process {self.pid}")
        self.pid = os.getpid() if credentials is None else credentials.pid

    def close(self) -> None:
        """
        Give the device up: what is queued is dropped and counted, who waits is released. Idempotent.

        Modelled on tunclose() in DragonFly if_tun.c and tap_dev_close() in NetBSD if_tap.c.
        """
        if self.pid is None:
            return
        self.pid = None
        self.bare = self.asynchronous = False
        if self.offload or self._finished is not None:
            self.give_up_offload()
        self.purge("closed")
        self._stop_timer()
        if not self.going:
            self.closed()
        self._knotes.gone(DeviceClosed(f"{self.name}: the device was closed"))
        self.readable.wake()
        self.readable.close()
        if self.dies_with_close:
            self.destroy()

    def closed(self) -> None:
        """Undo what being open meant to the interface, in a driver that does."""

    def fileno(self) -> int:
        """
        Return a descriptor, made when first asked for, that polls readable while packets may be read; -1 if closed.

        What a rate limit holds back shows once the event loop's timer has run.
        """
        return self.readable.fileno() if self.is_open else -1

    # --- read -------------------------------------------------------------------------------------

    def read(self, size: int = 65536) -> bytes:
        """
        Take one packet off the send queue: one read is one packet. Does not wait.

        What does not fit *size* bytes is lost, and the packet counted in ``counts.truncated``.

        Raises:
            DeviceDown: If the device is not open, or the interface not up.
            WouldBlock: If nothing is queued.
            DeviceGone: If the interface was deleted.

        Modelled on tunread() in DragonFly if_tun.c and tap_dev_read() in NetBSD if_tap.c.
        """
        if size < 0:
            raise ValueError(f"{self.name}: a read has room for 0 bytes or more, not {size}")
        self.check_readable()
        batch = self.read_many(1)
        if not batch:
            raise WouldBlock(errno.EWOULDBLOCK, f"{self.name}: no packet is queued")
        self.counts.truncated += len(batch[0]) > size
        return batch[0][:size]

    async def read_wait(self, size: int = 65536) -> bytes:
        """
        Take one packet, sleeping while none is queued; a cancel loses none. Otherwise like read().

        Raises:
            DeviceDown: If the interface goes down meanwhile.
            ConcurrencyError: If another task sleeps in it.
        """
        while True:
            try:
                return self.read(size)
            except WouldBlock:
                if self.nonblocking:
                    raise
                await self.readable.wait()

    def read_many(self, limit: int) -> list[bytes]:
        """
        Take up to *limit* packets off the send queue; ``[]`` if there are none, or the interface is down.

        Raises:
            DeviceGone: If the interface was deleted.
        """
        if not self._flags & UP:
            self.check_alive()
            return []
        batch = self._snd.dequeue_many(limit, self._now() if self._timed else 0.0)
        self.taken(batch)
        released = self._released()
        if not released or self._timed:  # a timed one may have let a packet go since it was asked above
            self.readable.put(released)
        if self.when_taken is not None:
            self.when_taken()
        return batch

    # --- write ------------------------------------------------------------------------------------

    def write(self, packet: bytes) -> int:
        """
        Put one packet into the stack and return its size: one write is one packet. Never waits.

        Raises:
            DeviceDown: If the interface is not up.
            DeviceGone: If it was deleted.
            UnsupportedFamily: If the packet is of no family the driver carries.
            DeviceError: If it is longer than the driver takes (EIO).

        Modelled on tunwrite() in DragonFly if_tun.c and tap_dev_write() in NetBSD if_tap.c.
        """
        self.write_many((packet,))
        return len(packet)

    def write_many(self, batch: Sequence[bytes]) -> int:
        """Put packets into the stack and return how many; raises like write(), ``sent`` went before the refused one."""
        if not self.up:
            self.check_alive()
            raise DeviceDown(f"{self.name}: the interface is down")
        fit = self.fitting(batch)
        if fit == len(batch):
            self._input(batch)
            return fit
        self._write_refusal = None
        self._input(batch[: fit + 1])
        error, self._write_refusal = self._write_refusal, None
        if error is None:  # a stage of the user's took the packet out
            return fit + 1
        error.sent = fit
        raise error

    def _input(self, batch: Sequence[bytes]) -> None:
        """Input a batch; if that fails, each packet of it is an input error."""
        try:
            self.input(batch)
        except BaseException:
            self.counts.ierrors += len(batch)
            raise

    def check_readable(self) -> None:
        """Raise what a read of a device that is not ready raises."""
        self.check_alive()
        if not (self.is_open and self.up):
            raise DeviceDown(f"{self.name}: the interface is down" if self.is_open else f"{self.name}: not open")

    def taken(self, batch: Sequence[bytes]) -> None:
        """Count packets just read, in a driver that counts them at read."""

    def inject(self, packet: bytes) -> None:
        """Output a packet that a packet filter wrote."""
        self.output_packet(packet)

    def fitting(self, batch: Sequence[bytes]) -> int:
        """Return how many packets from the front of *batch* the driver will not refuse."""
        return len(batch)

    @stage(superpackets=True)
    def _count_input(self, batch: Batch) -> Batch:
        self.counts.ipackets += len(batch)
        self.counts.ibytes += sum(map(len, batch))
        return batch

    # --- readiness --------------------------------------------------------------------------------

    def poll(self, events: int) -> int:
        """
        Return those of the poll() *events* that hold now, POLLERR if the interface was deleted.

        Modelled on tap_dev_poll() in NetBSD if_tap.c.
        """
        if self.going:
            return select.POLLERR
        return events & (WRITE | (READ if self._released() else 0))

    def kqfilter(self, filter: int, notify: Callable[[Knote], None] | None = None) -> Knote:
        """
        Arm an event filter: READ, whose count is the bytes of the next packet, or WRITE, always ready.

        It ends with the device's close. *notify* is called at each activation, and once at the end.

        Raises:
            DeviceError: If it is another filter; EOPNOTSUPP from a tun, EINVAL from a tap.
            DeviceGone: If the interface was deleted.

        Modelled on tunkqfilter() in DragonFly if_tun.c and tap_dev_kqfilter() in NetBSD if_tap.c.
        """
        self.check_alive()
        return self._knotes.insert(check_filter(self.name, filter, self.unknown_filter), self.nread, notify)

    def destroy(self) -> None:
        super().destroy()
        self._stop_timer()
        self.writable.wake()
        self._knotes.gone(DeviceGone(f"{self.name}: the interface was deleted", errno.ENXIO))
        self.bpf.gone()
