"""
The network side of a device: an interface in a stack (the drivers' ``struct ifnet``).

Directions, once and for all::

    stack --output--> snd --start--> read --> application
    stack <--input------------------ write <-- application

A driver fills in three steps: ``classify`` (which packets it takes), ``start`` (what happens once
packets are queued) and ``accept`` (what the application may write). Counters are the
interface's: ``opackets`` left the stack, ``ipackets`` entered it.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import IPv4Interface, IPv6Interface

import attrs

from ..endpoint import Event, EventKind, InterfaceCounters
from ..errors import DeviceDown, DeviceGone, PacketTooBig
from ..queueing import Fifo

__all__ = ["Flags", "Interface"]

IF_MINMTU = 72
IFQ_MAXLEN = 50

InterfaceAddress = IPv4Interface | IPv6Interface
Stack = Callable[["Interface", list[bytes]], None]
"""Takes packets that entered through an interface; what it cannot use it drops there, with a reason."""


class Flags(enum.IntFlag):
    """Interface flags, with the values of BSD sys/net/if.h."""

    UP = 0x1
    BROADCAST = 0x2
    POINTOPOINT = 0x10
    RUNNING = 0x40
    OACTIVE = 0x400
    SIMPLEX = 0x800
    MULTICAST = 0x8000


@attrs.define
class Counts:
    """The interface's counters, as they run."""

    ipackets: int = 0
    ibytes: int = 0
    ierrors: int = 0
    opackets: int = 0
    obytes: int = 0
    oerrors: int = 0
    collisions: int = 0
    """Packets refused by a full send queue; the tun driver counts them here."""


class Interface:
    """
    One interface of an in-process stack.

    Everything here is synchronous and belongs to the event loop's thread. A subclass is a driver.

    Modelled on struct ifnet in BSD sys/net/if_var.h.
    """

    flags_at_start = Flags(0)
    header = 0
    """Bytes of link header in front of a layer-3 packet."""

    def __init__(self, name: str, stack: Stack, *, mtu: int = 1500, queue_length: int = IFQ_MAXLEN) -> None:
        self.name = name
        self.mtu = self._checked_mtu(mtu)
        self.flags = self.flags_at_start
        self.addresses: list[InterfaceAddress] = []
        self.snd = Fifo(queue_length)
        self.counts = Counts()
        self.going = False
        """Set first when the interface is destroyed, before anything else happens to it."""
        self._stack = stack
        self._dropped: Counter[str] = Counter()
        self._listeners: list[Callable[[Event], None]] = []
        self.when_taken: Callable[[], None] | None = None
        """Called after packets left the send queue: whoever outputs may have room again."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.flags!r} mtu {self.mtu}>"

    # --- configuration ----------------------------------------------------------------------------

    @property
    def up(self) -> bool:
        """Whether the interface is administratively up."""
        return bool(self.flags & Flags.UP)

    def set_up(self, up: bool) -> None:
        """Bring the interface up or down, and tell who listens. Setting what is already so does nothing."""
        self.check_alive()
        if up == self.up:
            return
        if up:
            self.flags |= Flags.UP | Flags.RUNNING
        else:
            self.flags &= ~(Flags.UP | Flags.RUNNING)
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
        if address not in self.addresses:
            self.addresses.append(address)

    def destroy(self) -> None:
        """Delete the interface: purge its queue, release who waits. What happens to it later raises DeviceGone."""
        if self.going:
            return
        self.going = True
        if self.up:
            self.flags &= ~(Flags.UP | Flags.RUNNING)
            self.tell(Event(EventKind.DOWN))
        self.purge("gone")
        self.addresses.clear()
        self.link_changed()
        self.tell(Event(EventKind.GONE))
        self._listeners.clear()

    # --- the paths --------------------------------------------------------------------------------

    def output(self, batch: Sequence[bytes]) -> int:
        """
        Take packets from the stack towards the application; return how many were queued.

        A packet that cannot be queued is dropped and counted. Does not wait.

        Raises:
            DeviceDown: If the interface is not up and running; nothing was queued, all were counted.
            PacketTooBig: If a packet is longer than the mtu; none was queued or counted.

        Modelled on tunoutput() in DragonFly if_tun.c.
        """
        self.check_alive()
        if not self.ready():
            self.drop("down", len(batch))
            self.counts.oerrors += len(batch)
            raise DeviceDown(f"{self.name}: the interface is down")
        self.check_size(batch)
        fit = self.classify(batch)
        queued = self.snd.enqueue_many(fit)
        if queued < len(fit):
            self.counts.collisions += len(fit) - queued
            self.drop("queue_full", len(fit) - queued)
        self.queued(fit[:queued])
        if queued:
            self.start()
        return queued

    def input(self, batch: list[bytes]) -> None:
        """Hand packets to the stack. Modelled on if_input() and netisr_queue() of the BSDs."""
        self.counts.ipackets += len(batch)
        self.counts.ibytes += sum(map(len, batch))
        self._stack(self, batch)

    def check_size(self, batch: Sequence[bytes]) -> None:
        """Raise PacketTooBig if a packet is longer than the mtu."""
        if max(map(len, batch), default=0) > self.mtu + self.header:
            longest = max(map(self.layer3_size, batch))
            if longest > self.mtu:
                raise PacketTooBig(f"{self.name}: packet is {longest} bytes, mtu is {self.mtu}")

    def layer3_size(self, packet: bytes) -> int:
        """Return the bytes of *packet* that the mtu counts."""
        return len(packet) - self.header

    def ready(self) -> bool:
        """Whether output may queue packets."""
        return self.up

    def classify(self, batch: Sequence[bytes]) -> Sequence[bytes]:
        """Return the packets this driver carries; drop and count the others."""
        return batch

    def queued(self, batch: Sequence[bytes]) -> None:
        """Count packets just queued, in a driver that counts them at output."""

    def start(self) -> None:
        """Tell the application that packets wait in ``snd``."""

    def link_changed(self) -> None:
        """React to up, down and destruction: wake who sleeps."""

    def purge(self, reason: str) -> list[bytes]:
        """Drop what is queued, counted under *reason*, and return it."""
        packets = self.snd.purge(reason)
        self.drop(reason, len(packets))
        return packets

    def drop(self, reason: str, count: int) -> None:
        """Count packets dropped at this interface, under *reason*."""
        if count:
            self._dropped[reason] += count

    def room(self) -> int:
        """Return how many packets the send queue has room for."""
        return self.snd.max_packets - len(self.snd)

    # --- telling ----------------------------------------------------------------------------------

    def listen(self, tell: Callable[[Event], None]) -> None:
        """Call *tell* with every change from now on; one that comes after the end is told so at once."""
        if self.going:
            tell(Event(EventKind.GONE))
        else:
            self._listeners.append(tell)

    def unlisten(self, tell: Callable[[Event], None]) -> None:
        """Call *tell* no more. One that does not listen is nothing to undo."""
        if tell in self._listeners:
            self._listeners.remove(tell)

    def tell(self, event: Event) -> None:
        """Tell everybody who listens."""
        for listener in tuple(self._listeners):
            listener(event)

    def counters(self) -> InterfaceCounters:
        """Return a snapshot of the counters."""
        counts = self.counts
        return InterfaceCounters(
            ipackets=counts.ipackets,
            ibytes=counts.ibytes,
            opackets=counts.opackets,
            obytes=counts.obytes,
            dropped=dict(self._dropped),
        )

    def check_alive(self) -> None:
        """Raise DeviceGone if the interface was deleted."""
        if self.going:
            raise DeviceGone(f"{self.name}: the interface was deleted")

    def _checked_mtu(self, mtu: int) -> int:
        if mtu < IF_MINMTU:
            raise ValueError(f"{self.name}: mtu {mtu} is below {IF_MINMTU}, the least there is")
        return mtu
