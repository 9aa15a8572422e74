"""
Async tun and tap endpoints for asyncio.

::

    async with aiotun.open_tun("vpn0", address="10.8.0.2/24", mtu=1420) as tun:
        async for packet in tun:
            ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import host, pipeline
from ._version import __version__
from .endpoint import (
    AddressChange,
    BatchIterator,
    Capabilities,
    Device,
    Endpoint,
    Event,
    EventKind,
    EventStream,
    InterfaceCounters,
    Opening,
    PacketIterator,
    Queues,
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
    QueueDetached,
    QueueFull,
    UnsupportedFamily,
    WouldBlock,
)
from .host import (
    FullTunnel,
    KernelTapOptions,
    KernelTunOptions,
    SystemHost,
    TapOptions,
    TunOptions,
    full_tunnel,
    open_tap,
    open_tun,
    probe,
)
from .pipeline import Path, per_packet, stage
from .routing import Route, Rule

if TYPE_CHECKING:
    from .host import BrokerHost, PrivateHost, SoftHost, listen_fds, receive_tap, receive_tun, send_endpoint
    from .pipeline import Router, pump

__all__ = [
    # host
    "BrokerHost",
    "FullTunnel",
    "KernelTapOptions",
    "KernelTunOptions",
    "PrivateHost",
    "SoftHost",
    "SystemHost",
    "TapOptions",
    "TunOptions",
    "full_tunnel",
    "listen_fds",
    "open_tap",
    "open_tun",
    "probe",
    "receive_tap",
    "receive_tun",
    "send_endpoint",
    # endpoint
    "AddressChange",
    "BatchIterator",
    "Capabilities",
    "Device",
    "Endpoint",
    "Event",
    "EventKind",
    "EventStream",
    "InterfaceCounters",
    "Opening",
    "PacketIterator",
    "Queues",
    "Statistics",
    "Tap",
    "Tun",
    # routing
    "Route",
    "Rule",
    # pipeline
    "Path",
    "Router",
    "per_packet",
    "pump",
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
    "QueueDetached",
    "QueueFull",
    "UnsupportedFamily",
    "WouldBlock",
    # version
    "__version__",
]


def __getattr__(name: str) -> object:
    """Load what a room loads when it is first named."""
    for room in (host, pipeline):
        if name in room.LATE:
            found: object = getattr(room, name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
