"""
Setting a link's own attributes, those that differ, and setting them back.

As raw bytes and not through pyroute2, whose import costs 130-280 ms: they are what every new device needs, and the
guardian, which has the standard library only, compares and restores the same bytes.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Sequence

import attrs

from ..errors import device_error
from .constants import IFF_UP
from .guardian import ATTRIBUTE, HEADER, IFINFO, NLM_F_REQUEST, RTM_GETLINK, Step, attribute
from .transaction import Transaction

__all__ = ["LinkState", "link_index", "link_names", "link_state", "set_attributes", "set_up"]

RTM_NEWLINK = 16
NLM_F_DUMP = 0x300

# Linux include/uapi/linux/if_link.h
IFLA_ADDRESS = 1
IFLA_IFNAME = 3
IFLA_MTU = 4
IFLA_TXQLEN = 13
IFLA_AF_SPEC = 26
IFLA_GROUP = 27
IFLA_INET6_ADDR_GEN_MODE = 8
IN6_ADDR_GEN_MODE_EUI64 = 0
IN6_ADDR_GEN_MODE_NONE = 1

GENERATION = (IFLA_AF_SPEC, socket.AF_INET6, IFLA_INET6_ADDR_GEN_MODE)
NUMBER = struct.Struct("=I")

MIN_IPV6_MTU = 1280
"""Below it the kernel takes IPv6, with its addresses, from the link (RFC 8200 section 5)."""


@attrs.frozen
class LinkState:
    """A link as the kernel describes it."""

    index: int
    flags: int
    attributes: bytes


def link_state(transaction: Transaction, name: str) -> LinkState:
    """
    Return the link called *name*.

    Raises:
        DeviceGone: If there is none.
    """
    named = _nested([IFLA_IFNAME], name.encode("utf-8", "surrogateescape") + b"\0")
    try:
        answer = transaction.ask(_message(RTM_GETLINK, 0, 0, 0, named))[0]
    except OSError as error:
        raise device_error(error, f"{name}: {error.strerror}") from error
    _, _, index, flags, _ = IFINFO.unpack_from(answer, HEADER.size)
    return LinkState(index, flags, answer[HEADER.size + IFINFO.size :])


def set_attributes(
    transaction: Transaction,
    link: LinkState,
    *,
    queue_length: int | None,
    mac: bytes | None,
    group: int | None,
    linklocal: bool | None,
    mtu: int | None,
    lasting: bool,
    restoring: Sequence[bytes],
) -> None:
    """
    Set what is given and differs.

    Args:
        lasting: Whether the link outlives us, and what was there before is to come back.
        restoring: The requests that give the link its IPv6 addresses again, which a small mtu costs it.
    """
    mode = None if linklocal is None else IN6_ADDR_GEN_MODE_EUI64 if linklocal else IN6_ADDR_GEN_MODE_NONE
    wanted: list[tuple[str, Sequence[int], bytes | None]] = [
        (f"queue length {queue_length}", (IFLA_TXQLEN,), _number(queue_length)),
        (f"mac {mac.hex(':') if mac else mac}", (IFLA_ADDRESS,), mac),
        (f"group {group}", (IFLA_GROUP,), _number(group)),
        # Before the mtu, for with a small one the kernel takes this setting, too.
        ("IPv6 address generation", GENERATION, None if mode is None else bytes([mode])),
        (f"mtu {mtu}", (IFLA_MTU,), _number(mtu)),
    ]
    for what, path, value in wanted:
        before = attribute(link.attributes, path)
        if value is None or before is None or value == before:  # no IPv6 in this kernel: nothing generates addresses
            continue
        undo: Step | None = None
        if lasting:
            again = restoring if path == (IFLA_MTU,) and mtu is not None and mtu < MIN_IPV6_MTU else ()
            requests = [_message(RTM_NEWLINK, link.index, 0, 0, _nested(path, before)), *again]
            undo = {
                "link": link.index,
                "path": path,
                "ours": value.hex(),
                "send": [request.hex() for request in requests],
            }
        transaction.change(what, _message(RTM_NEWLINK, link.index, 0, 0, _nested(path, value)), undo)


def set_up(transaction: Transaction, link: LinkState, *, lasting: bool, restoring: Sequence[bytes]) -> None:
    """Bring the link up, if it is not; to bring it down again takes the IPv6 addresses that *restoring* gives back."""
    if link.flags & IFF_UP:
        return
    requests = [_message(RTM_NEWLINK, link.index, 0, IFF_UP), *restoring]
    mode = attribute(link.attributes, GENERATION)
    if mode is not None:  # the kernel chooses another one for a tun that it brings up: addrconf_dev_config()
        requests.append(_message(RTM_NEWLINK, link.index, 0, 0, _nested(GENERATION, mode)))
    undo = {"send": [request.hex() for request in requests]} if lasting else None
    transaction.change("up", _message(RTM_NEWLINK, link.index, IFF_UP, IFF_UP), undo)


def link_names(transaction: Transaction) -> list[str]:
    """Return the names of all links."""
    answers = transaction.ask(_message(RTM_GETLINK, 0, 0, 0, flags=NLM_F_DUMP))
    found = (attribute(answer[HEADER.size + IFINFO.size :], [IFLA_IFNAME]) or b"" for answer in answers)
    return [name.rstrip(b"\0").decode("utf-8", "surrogateescape") for name in found]


def link_index(transaction: Transaction, name: str) -> int:
    """Return the index of the link called *name*."""
    try:
        return link_state(transaction, name).index
    except OSError as error:
        raise OSError(errno.ENOENT, f"there is no interface {name}") from error


def _number(value: int | None) -> bytes | None:
    return None if value is None else NUMBER.pack(value)


def _message(kind: int, index: int, up: int, change: int, attributes: bytes = b"", *, flags: int = 0) -> bytes:
    body = IFINFO.pack(socket.AF_UNSPEC, 0, index, up, change) + attributes
    return HEADER.pack(HEADER.size + len(body), kind, NLM_F_REQUEST | flags, 0, 0) + body


def _nested(path: Sequence[int], value: bytes) -> bytes:
    """Return the attribute, inside those it is nested in."""
    for kind in reversed(path):
        length = ATTRIBUTE.size + len(value)
        value = (ATTRIBUTE.pack(length, kind) + value).ljust(length + 3 & ~3, b"\0")
    return value
