"""
The error queue of a UDP socket: what became of datagrams that were sent, and to whom.

With IP_RECVERR the kernel keeps each ICMP error that came, and each datagram it could not send itself, apart from what
is received; see ip(7). Without it, only an errno comes out of the next call, whatever that is about.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys

import attrs

from ..endpoint.reports import Report
from .udp_address import Address, address_of, packed_address

__all__ = ["REPORTS", "Notice", "hear", "listen_for_reports"]

# What an earlier datagram met, told at the next call on the socket: the fatal rows of icmp_err_convert[] in Linux
# net/ipv4/icmp.c; Windows says ECONNRESET.
REPORTS = frozenset(
    {
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ENOPROTOOPT,
        errno.EMSGSIZE,
        errno.EACCES,
        errno.EPROTO,
        getattr(errno, "EHOSTDOWN", 112),
        getattr(errno, "ENONET", 64),
    }
)

# Linux include/uapi/linux/in.h, in6.h and errqueue.h.
IP_RECVERR = 11
IPV6_RECVERR = 25
MSG_ERRQUEUE = getattr(socket, "MSG_ERRQUEUE", 0x2000)
LOCAL, ICMP, ICMP6 = 1, 2, 3
ERROR = struct.Struct("=IBBBxII")  # errno, origin, type, code, info, data; then the address of who says so
IN, IN6 = struct.Struct("=HH4s"), struct.Struct("=HHI16sI")
CONTROL = 512

AT_ONCE = 64
"""Notices taken in one go, at most: a flood of forged ones must not hold the loop."""


@attrs.frozen
class Notice:
    """One entry of the error queue."""

    report: Report
    local: bool
    """Whether this host says so, of a datagram that it did not send: the caller saw that one's errno."""
    mtu: int | None
    """Bytes of IP packet that the path carries, if the notice is about that."""


def listen_for_reports(sock: socket.socket) -> bool:
    """Have the kernel keep notices for the socket, and return whether it does; otherwise errnos are all there is."""
    if sys.platform != "linux":
        return False
    try:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    except OSError:
        return False
    return True


def hear(sock: socket.socket) -> list[Notice]:
    """Take the notices that are there, oldest first."""
    notices: list[Notice] = []
    for _ in range(AT_ONCE):
        try:
            _, control, _, told = sock.recvmsg(1, CONTROL, MSG_ERRQUEUE)
        except OSError:  # EAGAIN: no more
            break
        peer = address_of(told) if told else None
        notices += [_notice(value, peer) for level, kind, value in control if _is_notice(level, kind, value)]
    return notices


def _is_notice(level: int, kind: int, value: bytes) -> bool:
    known = ((socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR))
    return (level, kind) in known and len(value) >= ERROR.size


def _notice(value: bytes, peer: Address | None) -> Notice:
    code, origin, _, _, info, _ = ERROR.unpack_from(value)
    return Notice(
        report=Report(peer, code, _offender(value[ERROR.size :])),
        local=origin not in (ICMP, ICMP6),
        mtu=info if code == errno.EMSGSIZE and info else None,
    )


def _offender(name: bytes) -> str | None:
    """Return the host in a struct sockaddr, if there is one."""
    family = int.from_bytes(name[:2], sys.byteorder)
    if family == socket.AF_INET and len(name) >= IN.size:
        return packed_address(IN.unpack_from(name)[2])
    if family == socket.AF_INET6 and len(name) >= IN6.size:
        _, _, _, octets, scope = IN6.unpack_from(name)
        return packed_address(octets, scope)
    return None
