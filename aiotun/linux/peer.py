"""Who is at the other end of a unix socket, by the kernel's word."""

from __future__ import annotations

import errno
import socket
import struct
from array import array

import attrs

__all__ = ["Peer", "peer_of"]

UCRED = struct.Struct("3i")
"""struct ucred of Linux include/linux/socket.h: pid, uid, gid."""

SO_PEERGROUPS = 59  # Linux include/uapi/asm-generic/socket.h, since 4.13

ROOM = 1024
"""Bytes that Python's getsockopt() can take at most: 256 groups."""


@attrs.frozen(kw_only=True)
class Peer:
    """A process as it was when it connected; ids are of the caller's user namespace."""

    pid: int
    uid: int
    gids: frozenset[int]
    """Its group, and the supplementary ones."""

    def __str__(self) -> str:
        return f"uid {self.uid}, pid {self.pid}"


def peer_of(sock: socket.socket) -> Peer:
    """
    Return who connected to *sock*, a connected unix socket (SO_PEERCRED and SO_PEERGROUPS of unix(7)).

    Of a process with more than 256 supplementary groups, or where the kernel does not tell them, the first alone is
    known: rights that come from a group may be missing then, never too many.
    """
    pid, uid, gid = UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size))
    try:
        groups = array("I", sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, ROOM))
    except OSError as error:
        if error.errno not in (errno.ERANGE, errno.ENOPROTOOPT):
            raise
        groups = array("I")
    return Peer(pid=pid, uid=uid, gids=frozenset([gid, *groups]))
