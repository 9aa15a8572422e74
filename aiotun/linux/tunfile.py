"""
One open ``/dev/net/tun``: the descriptor, and what the kernel says about the interface behind it.

The fd has one owner, this object; after close it is -1, so a number the kernel gives out again is never
touched. Everything here blocks for microseconds at most, except open and close.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Callable
from typing import Literal, TypeVar

from ..endpoint.forking import abandon_in_child, close_copy
from .constants import (
    IFF_DETACH_QUEUE,
    IFF_NO_PI,
    IFF_PERSIST,
    IFREQ,
    TUNGETDEVNETNS,
    TUNGETIFF,
    TUNSETOFFLOAD,
)
from .ifioctl import open_netlink_if_any, query_by_ioctl
from .namespace import in_namespace
from .offload import Offloading
from .origin import HERE, MakeSocket, Origin
from .rtnetlink import Link, open_netlink, query_link
from .tuninfo import TunInfo

__all__ = ["Kind", "TunFile"]

Kind = Literal["tun", "tap"]
T = TypeVar("T")


class TunFile:
    """An open tun or tap. Whoever made it closes it."""

    def __init__(self, fd: int, asked: int, origin: Origin = HERE) -> None:
        self.fd = fd
        self.asked = asked
        """The flags that open_device() asked for."""
        self._origin = origin
        self.granted = 0
        """The flags the kernel reported when the device was opened."""
        self.info: TunInfo | None = None
        """What the driver told of the interface when the device was opened; None if it could not be asked."""
        self.offloading: Offloading | None = None
        """The device's offload; None where there is no vnet header."""
        self.detached = False
        """Whether the queue is detached: nothing comes out of it, and nothing shall go in."""
        self._netlink: socket.socket | None = None
        self._index = 0
        abandon_in_child(self)

    @property
    def persistent(self) -> bool:
        """Whether the interface was there before, and outlives this descriptor."""
        return bool(self.granted & IFF_PERSIST)

    @property
    def found(self) -> bool:
        """Whether the interface was there before: persistent, or held by who has other queues of it."""
        return self.persistent or (self.info is not None and self.info.queues > 1)

    def interface(self) -> tuple[str, int]:
        """
        Return the interface's name now, and its flags; follows renames and moves (TUNGETIFF).

        Raises:
            OSError: If the interface is gone (EBADFD).
        """
        if self.fd == -1:
            raise OSError(errno.EBADF, "the device is closed")
        name, flags = IFREQ.unpack(fcntl.ioctl(self.fd, TUNGETIFF, IFREQ.pack(b"", 0)))
        return name.rstrip(b"\0").decode("utf-8", "surrogateescape"), flags

    def alive(self) -> bool:
        """Return whether there still is an interface behind the descriptor."""
        try:
            self.interface()
        except OSError:
            return False
        return True

    def settle(self) -> None:
        """
        Note what was granted, and open the socket that query() asks through, of the device's origin.

        The tun keeps the namespace it was opened in alive in any case; one it is moved to must not
        be kept alive by us, or its deletion would not delete the device.
        """
        name, flags = self.interface()
        self._netlink = open_netlink_if_any(self._origin.make_socket)
        if self._netlink is not None:
            with contextlib.suppress(OSError):  # it is elsewhere, if it was adopted
                self._index = query_link(self._netlink, name).index
        with contextlib.suppress(OSError):  # it is where we may not look
            self.info = self.query().tun
        if self.info is not None and self.info.packet_information:
            # IFF_NOFILTER, which every descriptor without a socket filter has, is the same bit.
            flags &= ~IFF_NO_PI
        self.granted, self.detached = flags & ~IFF_DETACH_QUEUE, bool(flags & IFF_DETACH_QUEUE)

    def query(self) -> Link:
        """
        Return the link as the kernel describes it, from the namespace it is in.

        Raises:
            OSError: If it is gone, or moved where this process may not follow.
        """
        name, _ = self.interface()
        if self._netlink is None:
            return self.in_namespace(lambda make: query_by_ioctl(make, name))
        try:
            link = query_link(self._netlink, name)
            if link.index == self._index:
                return link
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
        return self.in_namespace(lambda make: _query_once(make, name))

    def in_namespace(self, function: Callable[[MakeSocket], T]) -> T:
        """Call *function* with what makes sockets in the interface's namespace; as in_origin()."""
        return self.in_origin(lambda origin: function(origin.make_socket))

    def in_origin(self, function: Callable[[Origin], T]) -> T:
        """
        Call *function* with the interface's namespace.

        Without CAP_NET_ADMIN nobody may ask which one that is: then where it was opened, and is if nobody moved it.
        """
        try:
            fd = fcntl.ioctl(self.fd, TUNGETDEVNETNS)
        except OSError:
            return function(self._origin)
        try:
            if self._origin.holds(fd):
                return function(self._origin)
            return in_namespace(fd, lambda: function(HERE))
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close the device. Deleting an interface that is not persistent takes the kernel about 20 ms. Idempotent."""
        self._forget_offload()
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None
        fd, self.fd = self.fd, -1
        if fd != -1:
            os.close(fd)

    def _forget_offload(self) -> None:
        """Leave nothing to the next holder of a persistent device, who may know nothing of super-packets."""
        if self.fd == -1 or self.offloading is None:
            return
        with contextlib.suppress(OSError):  # it is gone, or elsewhere
            if self.interface()[1] & IFF_PERSIST:
                info = self.query().tun
                if info is None or info.queues <= 1:
                    fcntl.ioctl(self.fd, TUNSETOFFLOAD, 0)

    def abandon(self) -> None:
        """See Abandoning."""
        fd, self.fd = self.fd, -1
        self.close()
        close_copy(fd)

    def detach(self) -> int:
        """Return the descriptor, which is the caller's from now on."""
        fd, self.fd = self.fd, -1
        self.close()
        return fd


def _query_once(make: MakeSocket, name: str) -> Link:
    with open_netlink(make) as netlink:
        return query_link(netlink, name)
