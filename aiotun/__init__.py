"""
Async tun and tap endpoints for asyncio.

::

    async with aiotun.open_tun("vpn0", address="10.8.0.2/24", mtu=1420) as tun:
        async for packet in tun:
            ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import host
from ._version import __version__
from .endpoint import (
    BatchIterator,
    Capabilities,
    Endpoint,
    Event,
    EventKind,
    EventStream,
    InterfaceCounters,
    Opening,
    PacketIterator,
    Statistics,
    Tap,
    Tun,
)
from .errors import (
    AiotunError,
    ConcurrencyError,
    DeviceBusy,
    DeviceClosed,
    DeviceDown,
    DeviceError,
    DeviceGone,
    PacketError,
    PacketTooBig,
    QueueFull,
    UnsupportedFamily,
    WouldBlock,
)
from .host import SystemHost, TapOptions, TunOptions, open_tap, open_tun
from .pipeline import Path, per_packet, stage

if TYPE_CHECKING:
    from .host import PrivateHost, SoftHost

__all__ = [
    # host
    "PrivateHost",
    "SoftHost",
    "SystemHost",
    "TapOptions",
    "TunOptions",
    "open_tap",
    "open_tun",
    # endpoint
    "BatchIterator",
    "Capabilities",
    "Endpoint",
    "Event",
    "EventKind",
    "EventStream",
    "InterfaceCounters",
    "Opening",
    "PacketIterator",
    "Statistics",
    "Tap",
    "Tun",
    # pipeline
    "Path",
    "per_packet",
    "stage",
    # errors
    "AiotunError",
    "ConcurrencyError",
    "DeviceBusy",
    "DeviceClosed",
    "DeviceDown",
    "DeviceError",
    "DeviceGone",
    "PacketError",
    "PacketTooBig",
    "QueueFull",
    "UnsupportedFamily",
    "WouldBlock",
    # version
    "__version__",
]


def __getattr__(name: str) -> object:
    """Load a host when it is first named, like the room it is in."""
    if name not in host.LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(host, name)
    return found
