"""The terms on which a device is opened: how many queues, whose it is, how long it lives, how it takes packets in."""

from __future__ import annotations

import errno
import fcntl
import os

import attrs

from ..errors import device_error
from .constants import (
    IFF_MULTI_QUEUE,
    IFF_NAPI,
    IFF_NAPI_FRAGS,
    IFF_VNET_HDR,
    TUNSETGROUP,
    TUNSETOWNER,
    TUNSETPERSIST,
)

__all__ = ["NOT_MAPPED", "Terms", "set_owner", "set_persistent", "signed"]

NOT_MAPPED = {errno.EINVAL: "this process's user namespace has no such number"}
"""What make_kuid() of the kernel says to a number that means nobody here: user_namespaces(7)."""


@attrs.frozen(kw_only=True)
class Terms:
    """What is not a setting of the link, but of the tun driver."""

    queues: int | None = None
    """How many to open of a multi-queue device; None is a device that has one and can have no more."""
    persistent: bool = False
    """Whether the interface shall outlive its descriptors; False leaves it as it is."""
    owner: int | None = None
    owner_group: int | None = None
    napi: bool = False
    napi_frags: bool = False
    offload: frozenset[str] = frozenset()
    """What is left to this end, or may be left to the stack, of OFFLOAD; a device without any has no vnet header."""

    @property
    def flags(self) -> int:
        """The flags of TUNSETIFF that stand for it."""
        return (
            (0 if self.queues is None else IFF_MULTI_QUEUE)
            | (IFF_NAPI if self.napi or self.napi_frags else 0)
            | (IFF_NAPI_FRAGS if self.napi_frags else 0)
            | (IFF_VNET_HDR if self.offload else 0)
        )

    def with_owner(self, *, found: bool, owned: bool) -> Terms:
        """
        Return the terms with this process's user as the owner, if nobody else is and others could attach.

        They can to a persistent device and to one of several queues, without any privilege (measured): and then
        read its packets, write its packets, and change its owner.
        """
        open_to_others = self.persistent or (self.queues is not None and not found)
        if owned or not open_to_others or (self.owner, self.owner_group) != (None, None):
            return self
        return attrs.evolve(self, owner=os.getuid())


def set_owner(fd: int, name: str, *, owner: int | None, group: int | None) -> None:
    """
    Say who may attach to the device without CAP_NET_ADMIN; None leaves it as it is.

    Raises:
        DeviceError: If the kernel knows no such number here.
    """
    for request, what, number in ((TUNSETOWNER, "owner", owner), (TUNSETGROUP, "owner group", group)):
        if number is not None:
            _set(fd, name, request, number, what)


def set_persistent(fd: int, name: str, persistent: bool) -> None:
    """Say whether the interface outlives its last descriptor."""
    _set(fd, name, TUNSETPERSIST, int(persistent), "persistent")


def signed(number: int) -> int:
    """Return a number of 32 bits as Python's ioctl() takes one."""
    return number - (1 << 32) if number >= 1 << 31 else number


def _set(fd: int, name: str, request: int, number: int, what: str) -> None:
    try:
        fcntl.ioctl(fd, request, signed(number))
    except OSError as error:
        reason = NOT_MAPPED.get(error.errno or 0, error.strerror)
        raise device_error(error, f"{name}: cannot set {what} {number}: {reason}") from error
