"""
The exceptions, and the table that turns an errno into one.

::

    AiotunError
    ├── DeviceError (OSError)          a device refused, with its errno
    │   ├── DeviceBusy                 EBUSY         somebody else has it open
    │   ├── DeviceDown                 EHOSTDOWN     the interface is not up
    │   ├── QueueFull                  ENOBUFS       a bounded queue has no room
    │   ├── PacketTooBig               EMSGSIZE      longer than the interface carries
    │   ├── QueueDetached              EBUSY         the queue is out of service
    │   ├── UnsupportedFamily          EAFNOSUPPORT  neither IPv4 nor IPv6
    │   └── DeviceGone                 ENODEV        the interface was deleted
    ├── DeviceClosed                   you closed the endpoint
    ├── ConcurrencyError               two tasks in the same direction of one endpoint
    └── PacketError (ValueError)       bytes that are not the packet they claim to be

``WouldBlock`` is Python's own ``BlockingIOError``, and missing rights are Python's own
``PermissionError``: both carry their remedy, if there is one, in the text.
"""

from __future__ import annotations

import errno
from typing import ClassVar

__all__ = [
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
    "device_error",
]

WouldBlock = BlockingIOError
"""Raised by every ``*_nowait`` form when nothing can be done now; an alias, so plain ``except`` clauses work."""


class AiotunError(Exception):
    """The common base of everything aiotun itself raises."""


class DeviceError(AiotunError, OSError):
    """
    A device refused an operation.

    ``str()`` is a sentence that starts with the device's name; ``errno`` is the code
    the C drivers answer at the same point.
    """

    code: ClassVar[int] = errno.EIO
    """The errno of this class; an instance may carry a more precise one."""

    reason: ClassVar[str] = "refused"
    """The word that a packet dropped for this error is counted under."""

    sent: int = 0
    """How many packets of the batch, counted from its front, were sent before the refusal."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(self.code if code is None else code, message)

    def __str__(self) -> str:
        return str(self.strerror)

    def __reduce__(self) -> tuple[type[DeviceError], tuple[str, int | None], dict[str, object] | None]:
        return type(self), (str(self), self.errno), self.__dict__ or None


class DeviceBusy(DeviceError):
    """Another program, or another endpoint of this one, has the device open."""

    code = errno.EBUSY


class DeviceDown(DeviceError):
    """The interface is not up. It stays open, and works again once it is up."""

    code = getattr(errno, "EHOSTDOWN", 112)  # absent from some platforms' errno module
    reason = "down"


class QueueFull(DeviceError):
    """A bounded queue has no room for the packet."""

    code = errno.ENOBUFS
    reason = "queue_full"


class PacketTooBig(DeviceError):
    """The packet is longer than the interface carries."""

    code = errno.EMSGSIZE
    reason = "too_big"


class UnsupportedFamily(DeviceError):
    """The packet is neither IPv4 nor IPv6."""

    code = errno.EAFNOSUPPORT
    reason = "unsupported_family"


class QueueDetached(DeviceError):
    """The queue of a multi-queue device is detached. It works again once it is attached."""

    code = errno.EBUSY
    reason = "detached"


class DeviceGone(DeviceError):
    """The interface was deleted, or its network namespace was. Terminal: only closing is left."""

    code = errno.ENODEV
    reason = "gone"


class DeviceClosed(AiotunError):
    """The endpoint was closed by its owner."""


class ConcurrencyError(AiotunError):
    """A second task entered the same direction of one endpoint."""


class PacketError(AiotunError, ValueError):
    """Bytes that are not the packet they claim to be."""

    reason: str
    """What is wrong, as one word to count drops under, such as ``short_header``."""

    def __init__(self, *args: object, reason: str = "bad_packet") -> None:
        super().__init__(*args)
        self.reason = reason


# What a tun or tap answers on read and write: tun_do_read() and tun_get_user() in Linux
# drivers/net/tun.c, tunread() and tunwrite() in DragonFly if_tun.c.
_BY_ERRNO: dict[int, type[DeviceError]] = {
    errno.EIO: DeviceDown,
    DeviceDown.code: DeviceDown,
    errno.EBUSY: DeviceBusy,
    errno.ENOBUFS: QueueFull,
    errno.ENOMEM: QueueFull,
    errno.EMSGSIZE: PacketTooBig,
    errno.EAFNOSUPPORT: UnsupportedFamily,
    errno.ENODEV: DeviceGone,
    errno.ENXIO: DeviceGone,
    errno.EBADF: DeviceGone,
    getattr(errno, "EBADFD", 77): DeviceGone,  # Linux's answer after the interface was deleted
}


def device_error(error: OSError, message: str) -> DeviceError:
    """Return the exception of the tree that stands for *error*, saying *message*; its ``errno`` is kept."""
    kind = DeviceError if error.errno is None else _BY_ERRNO.get(error.errno, DeviceError)
    return kind(message, error.errno)
