"""The port of a kernel device: batches of read() and write() on a non-blocking descriptor."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from itertools import repeat

from ..endpoint import Capabilities, Event, EventKind, FdReadiness, InterfaceCounters, Port
from ..errors import DeviceError, DeviceGone, QueueFull, UnsupportedFamily, device_error
from .constants import IFF_TUN, IFF_UP, flag_names
from .moderation import ModeratedReadiness
from .monitor import Monitor
from .tunfile import TunFile
from .worker import in_thread

__all__ = ["READ_SIZE", "KernelPort"]

READ_SIZE = 65536 + 14 + 8
"""
Bytes offered to every read: the largest IP packet, an Ethernet header and two VLAN tags.

A shorter buffer loses the packet's tail without a word, and the mtu can be raised at any time.
"""

Read = Callable[[int, int], bytes]
Write = Callable[[int, bytes], int]


class KernelPort(Port):
    """
    An open tun or tap as an endpoint sees it. Owns the device.

    *read* and *write* are the system calls, to be replaced where a test injects errors.
    """

    def __init__(self, file: TunFile, *, read: Read = os.read, write: Write = os.write) -> None:
        self._file = file
        self._read = read
        self._write = write
        self._monitor: Monitor | None = None
        self.name, self.mtu = "", 0
        self.refresh()
        self.capabilities = Capabilities(asked=flag_names(file.asked), granted=flag_names(file.granted))
        self.readable: ModeratedReadiness = ModeratedReadiness(f"receiving from {self.name}", file.fd)
        self.writable = FdReadiness(f"sending to {self.name}", file.fd, writing=True)

    def fileno(self) -> int:
        return self._file.fd

    def read_many(self, limit: int) -> list[bytes]:
        packets: list[bytes] = []
        try:
            # extend() keeps what it got before the exception that ends it, and loops in C: 4-5 % over a for loop.
            packets.extend(map(self._read, repeat(self._file.fd, limit), repeat(READ_SIZE)))
        except BlockingIOError:
            self.readable.emptied(len(packets))
        except MemoryError as error:
            if not packets:
                raise QueueFull(f"{self.name}: no memory for a packet") from error
        except OSError as error:
            if not packets:  # otherwise it comes again at the next call, after what was read is safe
                raise self._error(error, "receive") from error
        return packets

    def write_many(self, batch: Sequence[bytes]) -> int:
        written: list[int] = []
        try:
            written.extend(map(self._write, repeat(self._file.fd), batch))
        except BlockingIOError:
            pass
        except OSError as error:
            raise self._refused(error, batch[len(written)], len(written)) from error
        if written != list(map(len, batch[: len(written)])):
            raise DeviceError(f"{self.name}: the kernel took a part of a packet", errno.EPROTO)
        return len(written)

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
        dropped = {"kernel_queue_full": link.tx_dropped, "kernel_input": link.rx_dropped}
        return InterfaceCounters(
            ipackets=link.rx_packets,
            ibytes=link.rx_bytes,
            opackets=link.tx_packets,
            obytes=link.tx_bytes,
            dropped={reason: count for reason, count in dropped.items() if count},
        )

    def watch(self, tell: Callable[[Event], None]) -> None:
        try:
            self._monitor = Monitor(self._file, tell)
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
            await in_thread(self._file.close)
        except RuntimeError:  # no thread to be had: better late in the loop than never
            self._file.close()

    def close_now(self) -> None:
        self.disarm()
        self._file.close()

    def detach(self) -> int:
        self.disarm()
        return self._file.detach()

    def _error(self, error: OSError, doing: str) -> DeviceError:
        """Return what a failed system call means for this device."""
        translated = device_error(error, "")
        if isinstance(translated, DeviceGone):
            return DeviceGone(f"{self.name}: the interface was deleted", error.errno)
        return device_error(error, f"{self.name}: cannot {doing}: {error.strerror}")

    def _refused(self, error: OSError, packet: bytes, sent: int) -> DeviceError:
        if error.errno == errno.EIO:
            translated = device_error(error, f"{self.name}: the interface is down")
        elif error.errno == errno.EINVAL and self._file.asked & IFF_TUN:
            translated = UnsupportedFamily(
                f"{self.name}: packet begins with 0x{packet[0]:02x}, neither IPv4 (0x4.) nor IPv6 (0x6.)"
            )
        else:
            translated = self._error(error, "send")
        translated.sent = sent
        return translated
