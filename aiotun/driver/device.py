"""
The application side of an in-process interface: open, read, write, close, and whom to wake.

What the two drivers share. Where they differ (what is counted when, what a write is checked for) is
in ``tun`` and ``tap``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..endpoint import Readiness
from ..errors import DeviceBusy, DeviceDown
from .interface import IFQ_MAXLEN, Interface, Stack
from .pollable import PolledReadiness

__all__ = ["Device"]


class Device(Interface):
    """An interface with a character device: what the stack outputs is read, what is written is input."""

    def __init__(self, name: str, stack: Stack, *, mtu: int = 1500, queue_length: int = IFQ_MAXLEN) -> None:
        super().__init__(name, stack, mtu=mtu, queue_length=queue_length)
        self.pid: int | None = None
        """The process that has the device open, or None."""
        self.readable = PolledReadiness(f"receiving from {name}")
        self.writable = Readiness(f"sending to {name}", level=True)

    # --- open and close ---------------------------------------------------------------------------

    def open(self) -> None:
        """
        Take the device; one at a time.

        Raises:
            DeviceBusy: If it is open already.
            DeviceGone: If the interface was deleted.

        Modelled on tunopen() in DragonFly if_tun.c and tap_dev_cloner() in NetBSD if_tap.c.
        """
        self.check_alive()
        if self.pid is not None:
            raise DeviceBusy(f"{self.name}: held by process {self.pid}")
        self.pid = os.getpid()

    def close(self) -> None:
        """
        Give the device up: what is queued is dropped and counted, addresses go, the interface is down.

        Idempotent. Modelled on tunclose() in DragonFly if_tun.c and tap_dev_close() in NetBSD if_tap.c.
        """
        if self.pid is None:
            return
        self.pid = None
        self.purge("closed")
        if not self.going:
            self.addresses.clear()
            self.set_up(False)
        self.readable.wake()
        self.readable.close()

    def fileno(self) -> int:
        """Return a descriptor that polls readable while packets are queued; made when first asked for."""
        return self.readable.fileno()

    # --- read and write ---------------------------------------------------------------------------

    def read_many(self, limit: int) -> list[bytes]:
        """
        Take up to *limit* packets off the send queue; ``[]`` if there are none, or the interface is down.

        Raises:
            DeviceGone: If the interface was deleted.
        """
        if not self.up:
            self.check_alive()
            return []
        batch = self.snd.dequeue_many(limit)
        self.taken(batch)
        if not self.snd:
            self.readable.put(False)
        if self.when_taken is not None:
            self.when_taken()
        return batch

    def write_many(self, batch: Sequence[bytes]) -> int:
        """
        Put packets into the stack and return how many; never has to wait.

        Raises:
            DeviceDown: If the interface is not up.
            DeviceGone: If it was deleted.
            UnsupportedFamily: If a packet is of no family the driver carries; ``sent`` packets went before it.
        """
        if not self.up:
            self.check_alive()
            raise DeviceDown(f"{self.name}: the interface is down")
        self.accept(batch)
        return len(batch)

    def accept(self, batch: Sequence[bytes]) -> None:
        """Check what the application wrote and input it."""
        raise NotImplementedError

    def taken(self, batch: Sequence[bytes]) -> None:
        """Count packets just read, in a driver that counts them at read."""

    # --- waking -----------------------------------------------------------------------------------

    def readable_now(self) -> bool:
        """Whether a read would return something, or an error worth waking for."""
        return self.going or (self.up and bool(self.snd))

    def start(self) -> None:
        """Wake whoever waits to read. Modelled on tunstart() in DragonFly if_tun.c and tap_start() in NetBSD's."""
        self.readable.put(True)

    def link_changed(self) -> None:
        """Wake sleepers: on the way up for what is queued, on the way down to learn of it, at the end to leave."""
        self.readable.put(self.readable_now())
        self.readable.wake()
        if self.going:
            self.writable.wake()
