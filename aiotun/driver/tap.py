"""
The in-process tap driver: an Ethernet interface whose wire is an application.

One read is one frame, one write is one frame. Modelled on NetBSD sys/net/if_tap.c.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Sequence

from ..endpoint.kinds import link_header
from ..errors import WouldBlock
from ..pipeline import Batch, stage
from ..queueing import Discipline
from .bpf import DLT, Direction
from .device import Device
from .ifnet import OACTIVE, RUNNING, Flags
from .interface import IFQ_MAXLEN, Stack
from .media import tap_media
from .nodes import Credentials
from .sigio import Band
from .superpackets import wire_length
from .tap_ioctl import TapIoctl

__all__ = ["TapDevice"]

# The driver's own prefix, locally administered; the other three bytes come from the uptime (tap_attach()).
PREFIX = bytes((0xF2, 0x0B, 0xA4))


class TapDevice(TapIoctl, Device):
    """A tap interface and its device. Counts ``opackets`` when a frame is read or purged, as the driver does."""

    flags_at_start = Flags.BROADCAST | Flags.SIMPLEX | Flags.MULTICAST
    header = 14
    dlt = DLT.EN10MB
    unknown_filter = errno.EINVAL
    output_stages = (
        ("ready", "_check_ready"),
        ("size", "_check_size"),
        ("segment", "_segment"),
        ("enqueue", "_enqueue"),
        ("start", "_start"),
    )
    start_stages = (
        ("in_use", "_drain"),
        ("enabled", "_check_enabled"),
        ("poll", "_poll"),
        ("oactive", "_set_oactive"),
        ("wakeup", "_wakeup"),
        ("filters", "_notify_filters"),
        ("sigio", "_schedule_sigio"),
    )
    input_stages = (
        ("count", "_count_input"),
        ("bpf", "_bpf_input"),
        ("input", "_if_input"),
    )

    def __init__(
        self,
        name: str,
        stack: Stack,
        *,
        mtu: int = 1500,
        queue_length: int = IFQ_MAXLEN,
        snd: Discipline | None = None,
        mac: bytes | None = None,
    ) -> None:
        super().__init__(name, stack, mtu=mtu, queue_length=queue_length, snd=snd)
        self.mac = mac or PREFIX + _uptime()
        self.media = tap_media(name)

    def open(self, credentials: Credentials | None = None) -> None:
        """
        Take the device; one at a time. What is queued from now on waits to be read.

        Raises:
            DeviceBusy, DeviceGone: Like Device.open().

        Modelled on tap_cdev_open() in NetBSD if_tap.c.
        """
        super().open(credentials)

    def closed(self) -> None:
        """The interface lives on, and what it is given is drained. Modelled on tap_dev_close()."""
        self._flags &= ~OACTIVE
        self.nonblocking = False

    def layer3_size(self, packet: bytes) -> int:
        """Leave VLAN tags out of account (ETHERCAP_VLAN_MTU)."""
        return wire_length(packet) - link_header(packet)

    def check_readable(self) -> None:
        super().check_readable()
        if self.readable.waiting:
            raise WouldBlock(errno.EWOULDBLOCK, f"{self.name}: another reader waits for the next frame")

    def taken(self, batch: Sequence[bytes]) -> None:
        """Count the frames that left, and show them to packet filters."""
        self._flags &= ~OACTIVE
        if batch:
            self.counts.opackets += len(batch)
            self.counts.obytes += sum(map(len, batch))
            if self.bpf:
                self.bpf.mtap(batch, Direction.OUT)

    def purge(self, reason: str) -> list[bytes]:
        frames = super().purge(reason)
        self.taken(frames)
        return frames

    def link_changed(self) -> None:
        """
        On the way up, start; on the way down, wake every sleeper to learn of it.

        Modelled on tap_init() and tap_stop() in NetBSD if_tap.c.
        """
        super().link_changed()
        if not self.up:
            self._schedule()
        else:
            self._start_head()

    # --- the steps of output ----------------------------------------------------------------------

    @stage(superpackets=True)
    def _start(self, batch: Batch) -> Batch:
        """Start unless the reader has yet to come for what it was told of."""
        if not self._flags & OACTIVE:
            self._start_queued(batch)
        return batch

    # --- the steps of start -----------------------------------------------------------------------

    @stage(reason="not_open", superpackets=True)
    def _drain(self, batch: Batch) -> Batch:
        """Drop what is queued while nobody has the device open; it counts as output."""
        if self.pid is not None:  # is_open, without a call
            return batch
        self.purge("not_open")
        return []

    @stage(superpackets=True)
    def _set_oactive(self, batch: Batch) -> Batch:
        self._flags |= OACTIVE
        return batch

    @stage(superpackets=True)
    def _schedule_sigio(self, batch: Batch) -> Batch:
        self._schedule()
        return batch

    # --- the steps of input -----------------------------------------------------------------------

    @stage(superpackets=True)
    def _bpf_input(self, batch: Batch) -> Batch:
        if self.bpf:
            self.bpf.mtap(batch, Direction.IN)
        return batch

    @stage(delivers=True, superpackets=True)
    def _if_input(self, batch: Batch) -> Batch:
        self._stack(self, list(batch))
        return batch

    # --- SIGIO ------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if self.asynchronous:
            self.sigio.schedule(self._band)

    def _band(self) -> Band | None:
        """Return what the signal carries. Modelled on tap_softintr()."""
        if not self.asynchronous:
            return None
        return Band.POLL_IN if self._flags & RUNNING else Band.POLL_HUP


def _uptime() -> bytes:
    """Return three bytes of the time since boot, as tap_attach() makes them."""
    seconds, microseconds = divmod(time.monotonic_ns() // 1000, 1_000_000)
    return ((seconds ^ microseconds) & 0xFFFFFF).to_bytes(3, "big")
