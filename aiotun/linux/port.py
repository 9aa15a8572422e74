"""The port of a kernel device: batches of read() and write() on a non-blocking descriptor."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from ..endpoint import Event, EventKind, FdReadiness, InterfaceCounters, Port
from ..endpoint.moderation import ModeratedReadiness
from ..errors import DeviceError, DeviceGone, QueueDetached, QueueFull, UnsupportedFamily, device_error
from .calls import Read, Write, read_batch, reading_by, write_batch, writing_by
from .capabilities import device_capabilities, kernel_features
from .constants import IFF_TUN, IFF_UP, flag_names
from .device import KernelDevice
from .monitor import Monitor
from .origin import Origin
from .probing import known_probe
from .sharing import SharedTransaction
from .transaction import Transaction
from .tunfile import TunFile
from .worker import in_thread

__all__ = ["READ_SIZE", "KernelPort"]

READ_SIZE = 65536 + 14 + 8
"""
Bytes offered to every read: the largest IP packet, an Ethernet header and two VLAN tags.

A shorter buffer loses the packet's tail without a word, and the mtu can be raised at any time.
"""

TRY_AGAIN = (0, errno.EAGAIN, errno.EINTR)
"""What ends a batch of writes without a refusal; a signal may do so once a packet is written."""

T = TypeVar("T")


class KernelPort(Port):
    """
    An open tun or tap as an endpoint sees it. Owns the device.

    *read* and *write* are the system calls, to be replaced where a test injects errors.
    """

    def __init__(self, file: TunFile, *, read: Read = os.read, write: Write = os.write) -> None:
        self._file = file
        self._read_batch = read_batch if read is os.read else reading_by(read)
        self._write_batch = write_batch if write is os.write else writing_by(write)
        self._weigh: Callable[[Sequence[bytes]], int] = len  # how many packets a batch is, to tell a stream by
        self._lost = 0
        self._monitor: Monitor | None = None
        self.transaction: Transaction | SharedTransaction | None = None
        """What is to be undone when the device is closed; it stays as it is if the descriptor is detached."""
        self.name, self.mtu = "", 0
        self.refresh()
        self.capabilities = device_capabilities(
            asked=flag_names(file.asked),
            granted=flag_names(file.granted),
            features=kernel_features(file.fd),
            probe=known_probe(),
        )
        self.readable: ModeratedReadiness = ModeratedReadiness(f"receiving from {self.name}", file.fd)
        self.writable = FdReadiness(f"sending to {self.name}", file.fd, writing=True)
        if file.detached:  # by who gave it to us
            self.set_detached(True)

    @property
    def found(self) -> bool:
        """Whether the interface was there before."""
        return self._file.found

    @property
    def persistent(self) -> bool:
        """Whether the interface outlives the port."""
        return self._file.persistent

    def in_origin(self, function: Callable[[Origin], T]) -> T:
        """Call *function* with the interface's namespace; blocks as long as that takes."""
        return self._file.in_origin(function)

    def fileno(self) -> int:
        return self._file.fd

    def read_many(self, limit: int) -> list[bytes]:
        if self._lost:
            self._tell_lost()
        packets, ended, self._lost = self._read_batch(self._file.fd, limit, READ_SIZE)
        if ended == errno.EAGAIN:
            self.readable.emptied(self._weigh(packets))
        elif ended and not packets:  # otherwise it comes again at the next call, after what was read is safe
            if ended == errno.ENOMEM:
                self._tell_lost()
            raise self._error(_os_error(ended), "receive")
        return packets

    def write_many(self, batch: Sequence[bytes]) -> int:
        written, ended = self._write_batch(self._file.fd, batch)
        if ended == errno.EPROTO:
            raise DeviceError(f"{self.name}: the kernel took a part of a packet", ended)
        if ended not in TRY_AGAIN:
            error = _os_error(ended)
            raise self._refused(error, batch[written], written) from error
        return written

    def is_up(self) -> bool:
        try:
            return bool(self._file.query().flags & IFF_UP)
        except OSError as error:
            if not self._file.alive():
                raise self._error(error, "receive") from error
            return True  # moved where we may not look: packets tell

    def refresh(self) -> None:
        try:
            link = self._file.query()
        except OSError:  # gone, or moved where we may not look: what was known last
            return
        self.name, self.mtu = link.name, link.mtu

    def counters(self) -> InterfaceCounters | None:
        """Ask the kernel. Its rx is what came from the application: the stack's input."""
        try:
            link = self._file.query()
        except OSError:
            return None
        if not link.counted:
            return None
        dropped = {"kernel_queue_full": link.tx_dropped, "kernel_input": link.rx_dropped}
        return InterfaceCounters(
            ipackets=link.rx_packets,
            ibytes=link.rx_bytes,
            opackets=link.tx_packets,
            obytes=link.tx_bytes,
            dropped={reason: count for reason, count in dropped.items() if count},
        )

    @property
    def device(self) -> KernelDevice:
        return KernelDevice(self, self._file)

    def set_detached(self, detached: bool) -> None:
        """Refuse to write, or no longer: the kernel takes packets from a queue that is out of service."""
        self._file.detached = detached
        if detached:
            self.write_many = self._refuse_detached  # type: ignore[method-assign]
        else:
            vars(self).pop("write_many", None)

    def watch(self, tell: Callable[[Event], None]) -> None:
        try:
            if self._monitor is None:
                self._monitor = Monitor(self._file, tell)
            else:
                self._monitor.follow(tell)
        except OSError as error:
            if self._file.alive():
                raise self._error(error, "watch the interface") from error
            tell(Event(EventKind.GONE))

    def disarm(self) -> None:
        self.readable.disarm()
        self.writable.disarm()
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None

    async def aclose(self) -> None:
        self.disarm()
        try:
            await in_thread(self._end)
        except RuntimeError:  # no thread to be had: better late in the loop than never
            self._end()

    def close_now(self) -> None:
        self.disarm()
        self._end()

    def detach(self) -> int:
        self.disarm()
        if self.transaction is not None:
            self.transaction.keep()
            self.transaction = None
        return self._file.detach()

    def _end(self) -> None:
        """Undo what outlives the device, and close it."""
        try:
            if self.transaction is not None:
                self.transaction.end()
        finally:
            self._file.close()

    def _refuse_detached(self, batch: Sequence[bytes]) -> NoReturn:
        """Stand for write_many() while the queue is detached, so that no write has to ask whether it is."""
        raise QueueDetached(f"{self.name}: the queue is detached")

    def _error(self, error: OSError, doing: str) -> DeviceError:
        """Return what a failed system call means for this device."""
        translated = device_error(error, "")
        if isinstance(translated, DeviceGone):
            return DeviceGone(f"{self.name}: the interface was deleted", error.errno)
        return device_error(error, f"{self.name}: cannot {doing}: {error.strerror}")

    def _tell_lost(self) -> NoReturn:
        """Say that there was no memory for a packet; once for each that had been read by then."""
        self._lost = max(0, self._lost - 1)
        raise QueueFull(f"{self.name}: no memory for a packet")

    def _refused(self, error: OSError, packet: bytes, sent: int) -> DeviceError:
        if error.errno == errno.EIO:
            translated = device_error(error, f"{self.name}: the interface is down")
        elif error.errno == errno.EINVAL and self._file.asked & IFF_TUN and packet[0] >> 4 not in (4, 6):
            translated = UnsupportedFamily(
                f"{self.name}: packet begins with 0x{packet[0]:02x}, neither IPv4 (0x4.) nor IPv6 (0x6.)"
            )
        else:
            translated = self._error(error, "send")
        translated.sent = sent
        return translated


def _os_error(code: int) -> OSError:
    return OSError(code, os.strerror(code))
