"""
Async tun and tap endpoints for asyncio.

::

    async with aiotun.open_tun("vpn0", address="10.8.0.2/24", mtu=1420) as tun:
        async for packet in tun:
            ...
"""

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
from .host import SoftHost, SystemHost, open_tap, open_tun

__all__ = [
    # host
    "SoftHost",
    "SystemHost",
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
