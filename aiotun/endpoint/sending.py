"""
Sending: from the program to the device.

Rules for changing this file:

* The ``*_nowait`` forms hold the logic; the async forms try, wait for readiness, try again.
* A packet is written once or not at all: no await stands between the write and its count.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from ..batch import nbytes
from ..errors import DeviceError, DeviceGone, PacketError, WouldBlock
from .attachment import Attachment
from .turn import turn

__all__ = ["Sending"]


class Sending(Attachment):
    """The sending half of an endpoint."""

    __slots__ = ()  # its counters are the attachment's, for Python lays out one half of a class only

    @property
    def burst(self) -> int:
        """Packets that it sends before the loop gets a turn, at most: 64, or 256 where single ones go as trains."""
        return self._port.burst

    async def send(self, packet: bytes) -> None:
        """
        Send one packet.

        Waits while the device has no room; tun and tap devices always have, as the drivers' write does
        not sleep. A cancelled send was either written once or not at all; of a super-packet that had to be cut, a
        front part may have been.

        Raises:
            DeviceClosed: If you closed the endpoint.
            DeviceDown: If the interface is down.
            DeviceGone: If the interface was deleted.
            PacketTooBig: If the packet is longer than the interface carries.
            PacketError: If it is shorter than its header.
            UnsupportedFamily: If it is neither IPv4 nor IPv6 (tun).
            ConcurrencyError: If another task waits for room.
            RuntimeError: If it has to wait for room, and another thread's event loop did so before and runs still.

        Modelled on tunwrite() in DragonFly sys/net/tun/if_tun.c and tap_dev_write() in NetBSD sys/net/if_tap.c.
        """
        await self.send_many((packet,))

    async def send_many(self, batch: Sequence[bytes], *, drop: bool = False) -> None:
        """
        Send packets in order.

        Waits like send(), and lets the loop have a turn every ``burst`` packets. If cancelled in between, a front
        part of the batch was sent, each packet once.

        Args:
            batch: The packets. Sizes are checked before the first is sent: if one is unfit, none is sent. Another
                family is for the device to refuse: what stood before that packet went, as the error's ``sent`` says.
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
        at = 0
        while at < len(batch):
            most = self._port.burst
            if self._burst >= most:
                self._burst = 0
                await turn()
            chunk = batch if not at and len(batch) <= most else batch[at : at + most]
            try:
                sent = self._write(chunk, at)
            except DeviceError as error:
                self._burst += error.sent - at + 1  # a refusal takes its time too
                if not drop or isinstance(error, DeviceGone):
                    raise
                self._drop(error.reason, 1)
                at = error.sent + 1
                continue
            self._burst += sent
            at += sent
            if sent < len(chunk):
                await self._wait_for_room()

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
        await self._wait_for_room()
        if self.closed:
            self._port.write_many(())  # says so

    # --- inside -----------------------------------------------------------------------------------

    async def _wait_for_room(self) -> None:
        self._try_to_watch()  # a kernel device that is deleted while it is down wakes readers only
        self._check_alive()
        await self._port.writable.wait()
        self._check_alive()

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
        self._sent_bytes += nbytes(batch)

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
