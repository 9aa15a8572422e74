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
from typing import Literal, NoReturn, TypeVar

from ..endpoint.names import check_name
from ..errors import DeviceBusy, DeviceError, device_error
from .constants import (
    CLONE_DEVICE,
    IFF_NO_PI,
    IFF_PERSIST,
    IFF_TAP,
    IFF_TUN,
    IFREQ,
    TUNGETDEVNETNS,
    TUNGETIFF,
    TUNSETIFF,
    TUNSETOFFLOAD,
    flag_names,
)
from .holders import holders
from .namespace import in_namespace
from .origin import HERE, MakeSocket, Origin
from .rtnetlink import Link, open_netlink, query_link

__all__ = ["Kind", "TunFile", "adopt_device", "open_device"]

Kind = Literal["tun", "tap"]
KIND_FLAGS: dict[Kind, int] = {"tun": IFF_TUN, "tap": IFF_TAP}

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
        self._netlink: socket.socket | None = None
        self._index = 0

    @property
    def persistent(self) -> bool:
        """Whether the interface outlives this descriptor; it was there before, then."""
        return bool(self.granted & IFF_PERSIST)

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
        name, self.granted = self.interface()
        self._netlink = open_netlink(self._origin.make_socket)
        with contextlib.suppress(OSError):  # it is elsewhere, if it was adopted
            self._index = query_link(self._netlink, name).index

    def query(self) -> Link:
        """
        Return the link as the kernel describes it, from the namespace it is in.

        Raises:
            OSError: If it is gone, or moved where this process may not follow.
        """
        name, _ = self.interface()
        assert self._netlink is not None  # settle() opened it
        try:
            link = query_link(self._netlink, name)
            if link.index == self._index:
                return link
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
        return self.in_namespace(lambda make: _query_once(make, name))

    def in_namespace(self, function: Callable[[MakeSocket], T]) -> T:
        """
        Call *function* with what makes sockets in the interface's namespace.

        Without CAP_NET_ADMIN nobody may ask which one that is: then where it was opened, and is if nobody moved it.
        """
        try:
            fd = fcntl.ioctl(self.fd, TUNGETDEVNETNS)
        except OSError:
            return function(self._origin.make_socket)
        try:
            if self._origin.holds(fd):
                return function(self._origin.make_socket)
            return in_namespace(fd, lambda: function(socket.socket))
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close the device. Deleting an interface that is not persistent takes the kernel about 20 ms. Idempotent."""
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None
        fd, self.fd = self.fd, -1
        if fd != -1:
            os.close(fd)

    def detach(self) -> int:
        """Return the descriptor, which is the caller's from now on."""
        fd, self.fd = self.fd, -1
        self.close()
        return fd


def open_device(kind: Kind, name: str, origin: Origin = HERE) -> TunFile:
    """
    Open *name* as a tun or a tap of *origin*, making it if it is not there.

    Blocks while the kernel creates the interface. Close-on-exec and non-blocking, no packet information
    header, no offloads: every read is one plain packet.

    Raises:
        ValueError: If the name cannot be one.
        PermissionError, DeviceBusy, DeviceError: With the reason, and what to do about it.
    """
    check_name(name)
    with contextlib.ExitStack() as undo:
        fd = _open_clone_device(origin)
        file = TunFile(fd, KIND_FLAGS[kind] | IFF_NO_PI, origin)
        undo.callback(file.close)
        try:
            fcntl.ioctl(fd, TUNSETIFF, IFREQ.pack(name.encode(), file.asked))
        except OSError as error:
            _explain(error, kind, name, origin)
        _settle(file)
        undo.pop_all()
    return file


def adopt_device(fd: int, kind: Kind) -> TunFile:
    """
    Take over an open descriptor; see Tun.from_fd().

    Raises:
        DeviceError: If it is not a *kind* with plain packets on it; the caller keeps it.
    """
    file = TunFile(fd, KIND_FLAGS[kind] | IFF_NO_PI)
    try:
        _settle(file)
    except OSError as error:
        file.detach()
        raise device_error(error, f"descriptor {fd} cannot be adopted as a {kind}: {error.strerror}") from error
    os.set_inheritable(fd, False)
    os.set_blocking(fd, False)
    return file


def _settle(file: TunFile) -> None:
    """Read back what was granted, and forget offloads that an earlier holder left switched on."""
    file.settle()
    name, _ = file.interface()
    missing = file.asked & ~file.granted
    unwanted = file.granted & ~file.asked & ~IFF_PERSIST
    if missing or unwanted:
        raise DeviceError(
            f"{name}: asked for {_list(file.asked)}, but the device is {_list(file.granted)}; "
            f"an earlier holder opened it otherwise, and the kernel does not change it",
            errno.EINVAL,
        )
    # The mask belongs to the interface and survives its holder: with it, checksums would come unfinished.
    fcntl.ioctl(file.fd, TUNSETOFFLOAD, 0)


def _query_once(make: MakeSocket, name: str) -> Link:
    with open_netlink(make) as netlink:
        return query_link(netlink, name)


def _list(flags: int) -> str:
    return " ".join(sorted(flag_names(flags)))


def _open_clone_device(origin: Origin) -> int:
    try:
        return origin.open_clone_device()
    except OSError as error:
        remedy = OPEN_REMEDIES.get(error.errno or 0)
        if remedy is None:
            raise
        message = f"cannot open {CLONE_DEVICE}: {remedy}"
        if isinstance(error, PermissionError):
            raise PermissionError(error.errno, message) from error
        raise device_error(error, message) from error


OPEN_REMEDIES = {
    errno.ENOENT: "there is none; `modprobe tun`, or give the container the device (--device /dev/net/tun)",
    errno.ENODEV: "the kernel has no tun driver; `modprobe tun`, or build it with CONFIG_TUN",
    errno.ENXIO: "the kernel has no tun driver; `modprobe tun`, or build it with CONFIG_TUN",
    errno.EACCES: "its file mode forbids it; run as root, or `chmod 0666 /dev/net/tun` as most systems have it",
    errno.EPERM: "the container forbids it; allow the device (--device /dev/net/tun)",
}

NEEDS_ADMIN = (
    "it takes CAP_NET_ADMIN: run as root, or grant it (`setcap cap_net_admin+ep` on the interpreter, "
    "AmbientCapabilities= in a systemd unit), or let root make a device for you "
    "(`ip tuntap add dev {name} mode {kind} user $USER`), or use aiotun.PrivateHost or aiotun.SoftHost, "
    "which need no privilege"
)


def _explain(error: OSError, kind: Kind, name: str, origin: Origin) -> NoReturn:
    """Raise what a refused TUNSETIFF means."""
    if error.errno == errno.EPERM:
        remedy = NEEDS_ADMIN.format(name=name.replace("%d", "0"), kind=kind)
        raise PermissionError(errno.EPERM, f"{name}: not allowed to open this {kind}; {remedy}") from error
    if error.errno == errno.EBUSY:
        held = ", ".join(holders(name)) or "a process this user may not look into"
        raise DeviceBusy(f"{name}: held by {held}") from error
    if error.errno == errno.EINVAL:
        raise DeviceError(f"{name}: {_existing(name, kind, origin)}", errno.EINVAL) from error
    raise device_error(error, f"{name}: cannot open this {kind}: {error.strerror}") from error


def _existing(name: str, kind: Kind, origin: Origin) -> str:
    """Say why the kernel took a valid name for invalid: there is such an interface, and it is something else."""
    try:
        with open_netlink(origin.make_socket) as netlink:
            found = query_link(netlink, name).kind
    except OSError:
        return f"the kernel refused to make a {kind} of this name"
    return f"an interface of this name exists and is {_article(found)}, not a {kind} with a single queue"


def _article(kind: str) -> str:
    return f"a {kind}" if kind else "no tun or tap at all"
