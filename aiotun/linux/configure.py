"""
Giving a link its settings, in the calling thread, through pyroute2.

pyroute2 is imported here and nowhere else, and only when something is to be set: its import costs
130-280 ms. Every setting is compared first, so a user who may not change a device can still open one
that is as it should be.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from typing import Any

import attrs

from ..errors import device_error
from .constants import IFF_UP
from .origin import MakeSocket

__all__ = ["Settings", "configure", "explained", "route_socket"]

IN6_ADDR_GEN_MODE_EUI64 = 0
IN6_ADDR_GEN_MODE_NONE = 1  # Linux include/uapi/linux/if_link.h


@attrs.frozen(kw_only=True)
class Settings:
    """What to set; None leaves a setting as it is."""

    addresses: Sequence[IPv4Interface | IPv6Interface] = ()
    mtu: int | None = None
    """Largest layer-3 packet, in bytes."""
    queue_length: int | None = None
    """Packets the kernel keeps for the application."""
    mac: bytes | None = None
    ipv6_linklocal: bool | None = None
    """Whether the kernel gives the link an IPv6 link-local address, and with it solicitations nobody asked for."""
    up: bool = False


def configure(name: str, settings: Settings, make: MakeSocket = socket.socket) -> None:
    """
    Make the link called *name*, in the namespace that *make* makes sockets in, what *settings* say.

    Blocks for some milliseconds.

    Raises:
        PermissionError: If a setting differs and changing it takes CAP_NET_ADMIN.
        DeviceError: If the kernel refuses a value.
    """
    if settings == Settings():
        return
    with route_socket(make) as netlink:
        link = netlink.link("get", ifname=name)[0]
        index = link["index"]
        for what, arguments in _differences(link, settings):
            with explained(name, what):
                netlink.link("set", index=index, **arguments)
        there = _addresses(netlink, index) if settings.addresses else []
        for address in settings.addresses:
            if address not in there:
                with explained(name, f"address {address}"):
                    netlink.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
        if settings.up and not link["flags"] & IFF_UP:
            with explained(name, "up"):
                netlink.link("set", index=index, state="up")


@contextmanager
def route_socket(make: MakeSocket = socket.socket) -> Iterator[Any]:
    """Open pyroute2's face of *make*'s namespace, on asyncio's own loop: it does not run on uvloop."""
    from pyroute2 import IPRoute  # late, for its cost

    with closing(asyncio.SelectorEventLoop()) as loop:
        sock = make(socket.AF_NETLINK, socket.SOCK_DGRAM, socket.NETLINK_ROUTE)
        try:
            with IPRoute(use_event_loop=loop, fileno=sock.detach()) as netlink:
                yield netlink
        finally:
            loop.run_until_complete(asyncio.sleep(0))  # its transport closes at the next turn


def _differences(link: Any, settings: Settings) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what to set and how, for every setting that is not so already."""
    if settings.queue_length not in (None, link.get("txqlen")):
        yield f"queue length {settings.queue_length}", {"txqlen": settings.queue_length}
    if settings.mac is not None:
        mac = settings.mac.hex(":")
        if mac != link.get("address"):
            yield f"mac {mac}", {"address": mac}
    # Before the mtu, for below 1280 the kernel takes IPv6 from the link, and the setting with it.
    if settings.ipv6_linklocal is not None and _addr_gen_mode(link) is not None:
        mode = IN6_ADDR_GEN_MODE_EUI64 if settings.ipv6_linklocal else IN6_ADDR_GEN_MODE_NONE
        if mode != _addr_gen_mode(link):
            inet6 = {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", mode)]}
            yield "IPv6 address generation", {"IFLA_AF_SPEC": {"attrs": [("AF_INET6", inet6)]}}
    if settings.mtu not in (None, link.get("mtu")):
        yield f"mtu {settings.mtu}", {"mtu": settings.mtu}


def _addr_gen_mode(link: Any) -> int | None:
    """Return the link's mode, or None where the kernel has no IPv6."""
    families = link.get("af_spec") or link.get("IFLA_AF_SPEC")
    inet6 = families.get_attr("AF_INET6") if families else None
    mode: int | None = inet6.get_attr("IFLA_INET6_ADDR_GEN_MODE") if inet6 else None
    return mode


def _addresses(netlink: Any, index: int) -> list[IPv4Interface | IPv6Interface]:
    """Return the addresses the link has."""
    told = netlink.get_addr(index=index)
    return [ip_interface((one.get("local") or one.get("address"), one["prefixlen"])) for one in told]


@contextmanager
def explained(name: str, what: str) -> Iterator[None]:
    """Turn pyroute2's error into ours, saying what was being set."""
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        yield
    except NetlinkError as error:
        code = error.code
        reason = error.args[1] if len(error.args) > 1 else str(error)
        message = f"{name}: cannot set {what}: {reason}"
        if code in (errno.EPERM, errno.EACCES):
            raise PermissionError(code, f"{message}; it takes CAP_NET_ADMIN in the device's namespace") from error
        raise device_error(OSError(code, reason), message) from error
