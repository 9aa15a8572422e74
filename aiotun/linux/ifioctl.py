"""
Asking the kernel about one link where netlink is not to be had: in a sandbox that refuses the sockets.

The older ioctls of netdevice(7) say less: no counters, and nobody announces a change. Any socket will do for
them, and one of AF_UNIX is what a sandbox allows if it allows any.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import socket
import struct

from .origin import MakeSocket
from .rtnetlink import Link, open_netlink

__all__ = ["open_netlink_if_any", "query_by_ioctl"]

# Linux include/uapi/linux/sockios.h
SIOCGIFFLAGS = 0x8913
SIOCGIFMTU = 0x8921
SIOCGIFINDEX = 0x8933

INTEGER = struct.Struct("16si20x")
FLAGS = struct.Struct("16sH22x")
"""struct ifreq with an int, and with flags: 40 bytes."""

# What refuses an address family altogether: seccomp filters, SELinux, RestrictAddressFamilies= of systemd.
REFUSALS = frozenset({errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ENOSYS})


def open_netlink_if_any(make: MakeSocket) -> socket.socket | None:
    """Open a route socket like open_netlink(), or return None where there is no netlink to be had."""
    try:
        return open_netlink(make)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        return None


def query_by_ioctl(make: MakeSocket, name: str) -> Link:
    """
    Return what the ioctls tell of the link called *name*, in the namespace that *make* makes sockets in.

    Raises:
        OSError: If there is no such link (ENODEV), or no socket.
    """
    with contextlib.closing(make(socket.AF_UNIX, socket.SOCK_DGRAM, 0)) as sock:
        return Link(
            index=_ask(sock, SIOCGIFINDEX, INTEGER, name),
            name=name,
            mtu=_ask(sock, SIOCGIFMTU, INTEGER, name),
            flags=_ask(sock, SIOCGIFFLAGS, FLAGS, name),
            counted=False,
        )


def _ask(sock: socket.socket, request: int, ifreq: struct.Struct, name: str) -> int:
    value: int = ifreq.unpack(fcntl.ioctl(sock, request, ifreq.pack(name.encode("utf-8", "surrogateescape"), 0)))[1]
    return value
