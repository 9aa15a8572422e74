"""
The port: what a driver offers an endpoint.

A port is the device side of an endpoint: it never waits, counts what it drops, and tells through
two Readiness objects when to try again. Everything that waits, iterates, checks or is cancelled
lives in the endpoint, once for all hosts.
"""

from __future__ import annotations

import abc
import errno
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NoReturn

import attrs

from ..errors import DeviceClosed, DeviceError
from .device import Device
from .events import Event
from .readiness import Readiness

__all__ = ["Capabilities", "Carries", "ClosedPort", "InterfaceCounters", "Port", "SteadyPort"]


Carries = Literal["ip", "ethernet"]
"""What packets are: a tun's or a tap's."""


@attrs.frozen(kw_only=True)
class Capabilities:
    """
    What was asked of the device and what it granted, what the kernel could give, and why it does not.

    All names are the kernel's. str() of it is a line for each.
    """

    asked: frozenset[str] = frozenset()
    """The flags the endpoint was opened with: ``IFF_TUN``, ``IFF_NO_PI``."""
    granted: frozenset[str] = frozenset()
    """The flags the device reports."""
    features: frozenset[str] = frozenset()
    """The flags that the kernel's driver knows (TUNGETFEATURES)."""
    probed: frozenset[str] = frozenset()
    """What was tried on a scratch device and works, ``TUN_F_TSO4``; known to those opened after aiotun.probe()."""
    off: Mapping[str, str] = attrs.field(factory=dict)
    """What the device does not have or do, and why, in words."""

    def __str__(self) -> str:
        sets = (("asked", self.asked), ("granted", self.granted), ("offered", self.features), ("works", self.probed))
        lines = [(title, " ".join(sorted(names))) for title, names in sets if names]
        for reason in sorted(set(self.off.values())):
            names = sorted(name for name, why in self.off.items() if why == reason)
            lines.append(("off", f"{' '.join(names)}: {reason}"))
        return "\n".join(f"{title:<8} {text}" for title, text in lines)


@attrs.frozen(kw_only=True)
class InterfaceCounters:
    """What the interface counted; directions are the stack's (``opackets`` left it, ``ipackets`` entered it)."""

    ipackets: int
    """Packets the application sent into the stack."""
    ibytes: int
    """Their bytes."""
    opackets: int
    """Packets the stack sent to the application."""
    obytes: int
    """Their bytes."""
    dropped: Mapping[str, int] = attrs.field(factory=dict)
    """Packets the interface dropped, by reason."""


class Port(abc.ABC):
    """
    One queue of one device, never waiting.

    Whoever makes a port gives it away: the endpoint closes it.
    """

    name: str
    """The interface's name as last known; it may change under us."""
    mtu: int
    """The largest layer-3 packet, in bytes, as last known."""
    readable: Readiness
    writable: Readiness
    capabilities: Capabilities = Capabilities()
    superpackets: bool = False
    """Whether read_whole() may return super-packets, and write_many() takes them."""
    carries: Carries | None = None
    """What the packets are, where it is not the endpoint's kind that says so; None is any bytes."""
    offload: frozenset[str] = frozenset()
    """What is left to the application, or may be: see Device.offload."""
    burst: int = 64
    """Packets that are sent before the loop gets a turn, at most; more where many go in one call of the system."""
    more: bool = False
    """Whether the last read did not empty the device; the descriptor may tell nothing of what is left."""

    @abc.abstractmethod
    def fileno(self) -> int:
        """Return a file descriptor that polls readable while read_many() has packets. The port owns it."""

    @abc.abstractmethod
    def read_many(self, limit: int) -> list[bytes]:
        """
        Return up to *limit* whole packets, oldest first; fewer when there are no more, ``[]`` when there are none.

        Raises:
            DeviceGone: If the device was deleted and nothing is left to read.
        """

    def read_whole(self, limit: int) -> list[bytes]:
        """Return what read_many() does, but super-packets in one piece, each as one packet."""
        return self.read_many(limit)

    def read_left(self) -> list[bytes]:
        """Return what was read from the device and not given away yet, as packets."""
        return []

    @abc.abstractmethod
    def write_many(self, batch: Sequence[bytes]) -> int:
        """
        Write packets from the front of *batch* and return how many; fewer when the device has no room.

        Raises:
            DeviceError: If the device refuses a packet; ``sent`` says how many went before it.
        """

    @abc.abstractmethod
    def is_up(self) -> bool:
        """Return whether the interface is administratively up."""

    @abc.abstractmethod
    def refresh(self) -> None:
        """Bring ``name`` and ``mtu`` up to date: a device may change without telling. Never raises."""

    def counters(self) -> InterfaceCounters | None:
        """Return the interface's own counters, or None if this port has none."""
        return None

    @property
    def device(self) -> Device:
        """
        The driver's control of the device.

        Raises:
            DeviceError: If there is none, as on every host but the kernel's.
        """
        raise DeviceError(f"{self.name}: has no device of the kernel behind it to control", errno.EOPNOTSUPP)

    @abc.abstractmethod
    def watch(self, tell: Callable[[Event], None]) -> None:
        """
        Start calling *tell* with each change of the interface; undone by close.

        Called again in another event loop, it goes on there, and takes the place of what was told before.
        """

    @abc.abstractmethod
    def disarm(self) -> None:
        """Leave the event loop: no callback fires afterwards. Idempotent, and does not close the device."""

    @abc.abstractmethod
    async def aclose(self) -> None:
        """
        Free the device and its file descriptors.

        May take as long as the kernel needs to delete an interface (about 20 ms), without
        blocking the loop. A cancel is raised only once everything is freed.
        """

    @abc.abstractmethod
    def close_now(self) -> None:
        """Free the device at once, blocking; for a forgotten endpoint, whose loop may be gone."""

    @abc.abstractmethod
    def detach(self) -> int:
        """Give up the file descriptor without closing it and return it; the caller owns it."""


class SteadyPort(Port):
    """A port of something that is always up, that nobody else changes, and that is closed without waiting."""

    def is_up(self) -> bool:
        return True

    def refresh(self) -> None:
        """Nothing changes under us."""

    async def aclose(self) -> None:
        self.close_now()


class ClosedPort(Port):
    """What an endpoint stands on after close: every operation says so, and the hot path needs no check."""

    def __init__(self, port: Port) -> None:
        """Take over what was last known of *port*, its counters included."""
        self.name = port.name
        self.mtu = port.mtu
        self.capabilities = port.capabilities
        self.superpackets = port.superpackets
        self.carries = port.carries
        self.offload = port.offload
        self.readable = Readiness(f"receiving from {port.name}", level=True)
        self.writable = Readiness(f"sending to {port.name}", level=True)
        self._counters = port.counters()

    def _refuse(self) -> NoReturn:
        raise DeviceClosed(f"{self.name}: the endpoint is closed")

    def fileno(self) -> int:
        return -1

    def refresh(self) -> None:
        """Nothing changes any more."""

    def counters(self) -> InterfaceCounters | None:
        return self._counters

    @property
    def device(self) -> Device:
        self._refuse()

    def keep(self, counters: InterfaceCounters | None) -> None:
        """Keep the interface's last word, if it had one after it was closed."""
        self._counters = counters or self._counters

    def watch(self, tell: Callable[[Event], None]) -> None:
        self._refuse()

    def read_many(self, limit: int) -> list[bytes]:
        self._refuse()

    def write_many(self, batch: Sequence[bytes]) -> int:
        self._refuse()

    def is_up(self) -> bool:
        self._refuse()

    def detach(self) -> int:
        self._refuse()

    def disarm(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    def close_now(self) -> None:
        pass
