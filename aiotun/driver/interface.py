"""
The network side of a device: an interface in a stack (the drivers' ``struct ifnet``).

Directions, once and for all::

    stack --output--> snd --start--> read --> application
    stack <--input------------------ write <-- application

The three arrows are paths, whose stages are the steps of the C functions in their order. ``output``
and ``input`` move packets; ``start`` moves none: its batch is what is announced to the reader.
Counters are the interface's: ``opackets`` left the stack, ``ipackets`` entered it.
"""

from __future__ import annotations

import errno
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from ipaddress import IPv4Interface, IPv6Interface
from typing import ClassVar

from ..batch import longest
from ..endpoint import AddressChange, Event, EventKind, InterfaceCounters
from ..errors import DeviceDown, DeviceError, DeviceGone, PacketTooBig
from ..pipeline import Path
from ..queueing import Discipline, Fifo
from .ifnet import RUNNING, UP, Counts, Flags
from .superpackets import wire_length
from .telling import Telling

__all__ = ["IFQ_MAXLEN", "Interface", "InterfaceAddress", "Stack", "Stages"]

IF_MINMTU = 72
IFQ_MAXLEN = 50

InterfaceAddress = IPv4Interface | IPv6Interface
Stack = Callable[["Interface", list[bytes]], None]
"""Takes packets that entered through an interface; what it cannot use it drops there, with a reason."""
Stages = tuple[tuple[str, str], ...]
"""The stages of a path in order: the name, and the method that is the stage."""


class Interface(Telling):
    """
    One interface of an in-process stack.

    Everything here is synchronous and belongs to the event loop's thread. A subclass is a driver.

    Modelled on struct ifnet in BSD sys/net/if_var.h.
    """

    flags_at_start: ClassVar[Flags] = Flags(0)
    header: ClassVar[int] = 0
    """Bytes of link header in front of a layer-3 packet."""
    output_stages: ClassVar[Stages] = ()
    start_stages: ClassVar[Stages] = ()
    input_stages: ClassVar[Stages] = ()

    # What most interfaces never change is the class's until they do: with 30 attributes an object costs 300
    # bytes, with 31 it costs 1600, and a host may hold thousands.
    lastchange: float | None = None
    """When the interface last went up or down, in seconds since the epoch."""
    when_taken: Callable[[], None] | None = None
    """Called after packets left the send queue: whoever outputs may have room again."""
    _dropped: Counter[str] | None = None

    def __init__(
        self, name: str, stack: Stack, *, mtu: int = 1500, queue_length: int = IFQ_MAXLEN, snd: Discipline | None = None
    ) -> None:
        self.name = name
        self.mtu = self._checked_mtu(mtu)
        self.addresses: list[InterfaceAddress] = []
        self.counts = Counts()
        self._flags = int(self.flags_at_start)
        self._queue_by(Fifo(queue_length) if snd is None else snd)  # an empty one is false
        self._stack = stack
        self._listeners: list[Callable[[Event], None]] = []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.flags!r} mtu {self.mtu}>"

    # --- the paths --------------------------------------------------------------------------------

    @cached_property
    def output(self) -> Path:
        """
        The path from the stack into the send queue; calling it with a batch returns what was queued.

        A packet that cannot be queued is dropped and counted. Does not wait.

        Raises:
            DeviceDown: If the interface is not ready; the whole batch was dropped and counted.

        Modelled on tunoutput() in DragonFly if_tun.c and ether_output() of NetBSD.
        """
        return self._path("output", self.output_stages, ("stack", "snd"), self.drop)

    @cached_property
    def start(self) -> Path:
        """
        The path that tells the application of packets to read; its batch stays in the queue.

        Modelled on tunstart() in DragonFly if_tun.c and tap_start() in NetBSD if_tap.c.
        """
        return self._path("start", self.start_stages, ("snd", "reader"), None)

    @cached_property
    def input(self) -> Path:
        """The path from the application into the stack. Modelled on tunwrite() and tap_dev_write()."""
        return self._path("input", self.input_stages, ("application", "stack"), self.drop)

    def _path(self, name: str, stages: Stages, ends: tuple[str, str], drop: Callable[[str, int], None] | None) -> Path:
        found = [(stage, getattr(self, method)) for stage, method in stages]
        return Path(f"{self.name} {name}", found, ends=ends, drop=drop, ethernet=self.header > 0)

    # --- the send queue ---------------------------------------------------------------------------

    @property
    def snd(self) -> Discipline:
        """The send queue: packets that wait for the application."""
        return self._snd

    @snd.setter
    def snd(self, discipline: Discipline) -> None:
        """
        Queue from now on by another discipline; what the old one holds is dropped, counted as ``requeued``.

        Raises:
            TypeError: If it is not a discipline.
            ValueError: If it is another interface's.
        """
        self._check_discipline(discipline)
        if discipline is not self._snd:
            self.purge("requeued")
            self._snd.detach(self.drop)
            self._queue_by(discipline)

    def purge(self, reason: str) -> list[bytes]:
        """Drop what is queued, counted under *reason*, and return it. Modelled on ifq_purge_all()."""
        return self._snd.purge(reason) if self._snd.owner is self else []  # it may be another's after destroy()

    def room(self) -> int:
        """Return how many packets the send queue has room for."""
        return self._snd.room()

    # --- configuration ----------------------------------------------------------------------------

    @property
    def flags(self) -> Flags:
        """The interface flags."""
        return Flags(self._flags)

    @property
    def up(self) -> bool:
        """Whether the interface is administratively up."""
        return bool(self._flags & UP)

    def set_up(self, up: bool) -> None:
        """Bring the interface up or down, and tell who listens. Setting what is already so does nothing."""
        self.check_alive()
        if up == self.up:
            return
        self._flags = self._flags | UP | RUNNING if up else self._flags & ~(UP | RUNNING)
        self.lastchange = time.time()
        self.link_changed()
        self.tell(Event(EventKind.UP if up else EventKind.DOWN))

    def set_mtu(self, mtu: int) -> None:
        """
        Set the largest layer-3 packet, in bytes.

        Raises:
            ValueError: If it is below 72, the least an interface may have (IF_MINMTU).
        """
        self.check_alive()
        if mtu != self.mtu:
            self.mtu = self._checked_mtu(mtu)
            self.tell(Event(EventKind.MTU, mtu))

    def add_address(self, address: InterfaceAddress) -> None:
        """Give the interface an address with its prefix; one it already has is left alone."""
        self.check_alive()
        if not isinstance(address, IPv4Interface | IPv6Interface):
            raise TypeError(f"{self.name}: an address is an ip_interface(), not {address!r}")
        if address not in self.addresses:
            self.addresses.append(address)
            self.tell(Event(EventKind.ADDRESS, AddressChange(address, "usable")))

    def remove_address(self, address: InterfaceAddress) -> None:
        """
        Take an address away.

        Raises:
            DeviceError: If the interface does not have it (EADDRNOTAVAIL).
        """
        self.check_alive()
        if address not in self.addresses:
            raise DeviceError(f"{self.name}: the address {address} is not its own", errno.EADDRNOTAVAIL)
        self.addresses.remove(address)
        self.tell(Event(EventKind.ADDRESS, AddressChange(address, "removed")))

    def purge_addresses(self) -> None:
        """Take every address away. Modelled on if_purgeaddrs_nolink()."""
        for address in tuple(self.addresses):
            self.remove_address(address)

    def destroy(self) -> None:
        """
        Delete the interface: purge its queue, release who waits. What happens to it later raises DeviceGone.

        Modelled on tap_detach() in NetBSD if_tap.c.
        """
        if self.going:
            return
        self.going = True
        if self.up:
            self._flags &= ~(UP | RUNNING)
            self.tell(Event(EventKind.DOWN))
        self.purge("gone")
        self._snd.detach(self.drop)
        self.addresses.clear()
        self.link_changed()
        self.tell(Event(EventKind.GONE))

    def is_ready(self) -> bool:
        """Return whether the interface takes what the stack outputs."""
        return bool(self._flags & RUNNING)

    def check_ready(self) -> None:
        """Raise DeviceDown if the interface takes no output, DeviceGone if it was deleted."""
        if not self.is_ready():
            self.check_alive()
            raise DeviceDown(f"{self.name}: the interface is down")

    def layer3_size(self, packet: bytes) -> int:
        """Return the bytes of *packet* that the mtu bounds: of a super-packet, those of its longest segment."""
        return wire_length(packet) - self.header

    def oversize(self, batch: Sequence[bytes]) -> PacketTooBig | None:
        """Return the error for the first packet that is longer than the interface carries, or None."""
        if longest(batch) <= self.mtu + self.header:
            return None
        for packet in batch:
            if (size := self.layer3_size(packet)) > self.mtu:
                return PacketTooBig(f"{self.name}: packet is {size} bytes, mtu is {self.mtu}")
        return None

    def link_changed(self) -> None:
        """React to up, down and destruction: wake who sleeps."""

    # --- counting and telling ---------------------------------------------------------------------

    def drop(self, reason: str, count: int) -> None:
        """Count packets dropped at this interface, under *reason*."""
        if count:
            if self._dropped is None:
                self._dropped = Counter()
            self._dropped[reason] += count

    def counters(self) -> InterfaceCounters:
        """Return a snapshot of the counters, with the drops of the send queue."""
        counts = self.counts
        dropped = Counter(self._dropped)
        dropped.update(self._snd.dropped(self))
        return InterfaceCounters(
            ipackets=counts.ipackets,
            ibytes=counts.ibytes,
            opackets=counts.opackets,
            obytes=counts.obytes,
            dropped=dict(dropped),
        )

    def check_alive(self) -> None:
        """Raise DeviceGone if the interface was deleted."""
        if self.going:
            raise DeviceGone(f"{self.name}: the interface was deleted", errno.ENXIO)

    def _check_discipline(self, discipline: object) -> None:
        if not isinstance(discipline, Discipline):
            raise TypeError(f"{self.name}: a queue is a discipline such as Fifo(50), not {discipline!r}")
        if discipline.owner not in (None, self):
            raise ValueError(f"{self.name}: the queue belongs to {discipline.owner.name}")

    def _queue_by(self, discipline: Discipline) -> None:
        self._check_discipline(discipline)
        discipline.attach(None if self.going else self)
        discipline.offset = self.header
        self._snd = discipline
        # The one that never looks at the clock is the usual one: not reading it saves 1 us a batch.
        self._timed = type(discipline) is not Fifo

    def _checked_mtu(self, mtu: int) -> int:
        if mtu < IF_MINMTU:
            raise ValueError(f"{self.name}: mtu {mtu} is below {IF_MINMTU}, the least there is")
        return mtu
