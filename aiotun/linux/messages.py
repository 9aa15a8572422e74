"""
rtnetlink messages about addresses, routes and rules, encoded and decoded by pyroute2.

pyroute2 is imported when the first one is needed: that costs 80-280 ms. Its sockets are not used: they bring an event
loop of their own, and what the guardian is to send must be there as bytes before anything is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .guardian import HEADER, NLM_F_REQUEST

__all__ = [
    "ADD",
    "DUMP",
    "REPLACE",
    "RTM_DELADDR",
    "RTM_DELROUTE",
    "RTM_DELRULE",
    "RTM_GETADDR",
    "RTM_GETROUTE",
    "RTM_GETRULE",
    "RTM_NEWADDR",
    "RTM_NEWROUTE",
    "RTM_NEWRULE",
    "decode",
    "encode",
]

# Linux include/uapi/linux/rtnetlink.h
RTM_NEWADDR = 20
RTM_DELADDR = 21
RTM_GETADDR = 22
RTM_NEWROUTE = 24
RTM_DELROUTE = 25
RTM_GETROUTE = 26
RTM_NEWRULE = 32
RTM_DELRULE = 33
RTM_GETRULE = 34

# Linux include/uapi/linux/netlink.h
DUMP = 0x300
"""NLM_F_DUMP."""
REPLACE = 0x100 | 0x400
"""NLM_F_REPLACE and NLM_F_CREATE: take the place of what is there."""
ADD = 0x200 | 0x400
"""NLM_F_EXCL and NLM_F_CREATE: refuse if there is one."""

Attributes = Sequence[tuple[str, Any]]


def encode(kind: int, flags: int, fields: dict[str, int], attributes: Attributes = ()) -> bytes:
    """Return a message: the fields of its struct, and its attributes by the kernel's names; None leaves one out."""
    message = _class(kind)()
    message.update(fields)
    message["attrs"] = [(name, value) for name, value in attributes if value is not None]
    message["header"] = {"type": kind, "flags": flags | NLM_F_REQUEST, "sequence_number": 0, "pid": 0}
    message.encode()
    return bytes(message.data)


def decode(message: bytes) -> Any:
    """Return pyroute2's view of a message."""
    decoded = _class(HEADER.unpack_from(message)[1])(message)
    decoded.decode()
    return decoded


def _class(kind: int) -> Any:
    from pyroute2.netlink.rtnl.fibmsg import fibmsg
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

    return {RTM_NEWADDR: ifaddrmsg, RTM_NEWROUTE: rtmsg, RTM_NEWRULE: fibmsg}[kind & ~3]
