"""The addresses of a link, asked of the kernel and read from its announcements."""

from __future__ import annotations

import errno
import os
import socket
import struct
from ipaddress import ip_address, ip_interface

import attrs

from ..endpoint import AddressChange, AddressState
from .rtnetlink import HEADER, NLM_F_REQUEST, RECEIVE_SIZE, attributes, check_error, messages

__all__ = ["RTM_DELADDR", "RTM_NEWADDR", "AddressMessage", "parse_address", "query_addresses"]

# Linux include/uapi/linux/{netlink,rtnetlink}.h
NLMSG_DONE = 3
NLM_F_DUMP_INTR = 0x10
NLM_F_DUMP = 0x300
RTM_NEWADDR = 20
RTM_DELADDR = 21
RTM_GETADDR = 22

# Linux include/uapi/linux/if_addr.h
IFADDR = struct.Struct("=BBBBI")
"""struct ifaddrmsg: family, prefix length, flags, scope, index."""
IFA_ADDRESS = 1
IFA_LOCAL = 2
IFA_FLAGS = 8
IFA_F_OPTIMISTIC = 0x04
IFA_F_DADFAILED = 0x08
IFA_F_TENTATIVE = 0x40

TRIES = 10
"""Dumps, at most, until none was interrupted by a change."""


@attrs.frozen
class AddressMessage:
    """An announcement: an address of the link with this index is so."""

    index: int
    change: AddressChange


def query_addresses(sock: socket.socket, index: int) -> list[AddressChange]:
    """
    Return the addresses of the link with this index, asked through a route socket. Answered at once.

    Raises:
        OSError: If the kernel does not tell.
    """
    for _ in range(TRIES):
        found, whole = _dump(sock, index)
        if whole:
            break
    return found


def _dump(sock: socket.socket, index: int) -> tuple[list[AddressChange], bool]:
    """Ask once. The second value is False if the addresses changed meanwhile: then one may be missing, or be twice."""
    body = IFADDR.pack(socket.AF_UNSPEC, 0, 0, 0, index)
    sock.send(HEADER.pack(HEADER.size + len(body), RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body)
    found: list[AddressChange] = []
    whole = True
    while buffer := sock.recv(RECEIVE_SIZE):
        for kind, flags, payload in messages(buffer):
            check_error(kind, payload, "addresses")
            whole = whole and not flags & NLM_F_DUMP_INTR
            if kind == NLMSG_DONE:
                return found, whole
            if kind == RTM_NEWADDR and (message := parse_address(kind, payload)).index == index:
                found.append(message.change)
    raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))


def parse_address(kind: int, payload: bytes) -> AddressMessage:
    """Return what an RTM_NEWADDR or RTM_DELADDR says."""
    _, prefix, low_flags, _, index = IFADDR.unpack_from(payload)
    found = dict(attributes(payload[IFADDR.size :]))
    flags = struct.unpack("=I", found[IFA_FLAGS])[0] if IFA_FLAGS in found else low_flags
    # Of an address with a peer, IFA_ADDRESS is the peer's.
    far = found.get(IFA_ADDRESS, b"")
    local = found.get(IFA_LOCAL, far)
    state = "removed" if kind == RTM_DELADDR else _state(flags)
    peer = ip_address(far) if far and far != local else None
    return AddressMessage(index, AddressChange(ip_interface((local, prefix)), state, peer))


def _state(flags: int) -> AddressState:
    if flags & IFA_F_DADFAILED:
        return "duplicate"
    # An optimistic address may be sent from while it is looked for, RFC 4429.
    return "tentative" if flags & IFA_F_TENTATIVE and not flags & IFA_F_OPTIMISTIC else "usable"
