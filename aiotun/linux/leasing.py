"""
A device that one process opens for another: the descriptor goes to the other, what is left to undo stays here.

The device of a lease ends with it, even if somebody still holds its descriptor: who leases devices out can count
them, and what was set up around a device never outlives it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from typing import TypeVar

from ..endpoint.names import is_template
from ..errors import DeviceBusy
from .configure import Settings, route_socket
from .namespace import in_namespace, open_namespace
from .opening import PLAIN, open_ports
from .port import KernelPort
from .rtnetlink import open_netlink, query_link
from .terms import Terms
from .tunfile import Kind
from .worker import in_thread

__all__ = ["Lease", "lease_device"]

EXISTS = "{name}: there is an interface of this name, and only new ones are leased"

T = TypeVar("T")


class Lease:
    """An open device for somebody else. Whoever made it ends it."""

    def __init__(self, ports: Sequence[KernelPort], kind: Kind, index: int, netns: str | None) -> None:
        """Take over what the ports own."""
        self.name = ports[0].name
        """The interface's name when it was made."""
        self._transactions = [port.transaction for port in ports if port.transaction is not None]
        for port in ports:
            port.transaction = None
        self.fds = [port.detach() for port in ports]
        """The descriptors of the device's queues, to be sent; none once released."""
        self._kind = kind
        self._index = index
        self._netns = netns

    async def release(self) -> None:
        """Close the descriptors here; if nobody else has them, that deletes the device. A cancel is raised after."""
        await in_thread(self._release)

    async def end(self) -> None:
        """
        Undo what was done for the device, and delete it if it is still there; warn of what could not be undone.

        It may be there: with its descriptor comes the right to make it persistent. A cancel is raised afterwards.
        """
        try:
            await in_thread(self._end)
        except RuntimeError:  # no thread to be had: better late in the loop than never
            self._end()

    def _release(self) -> None:
        while self.fds:
            os.close(self.fds.pop())

    def _end(self) -> None:
        with ExitStack() as stack:
            stack.callback(_inside_if_any, self._netns, self._delete)
            stack.callback(self._release)
            while self._transactions:
                stack.callback(self._transactions.pop().end)

    def _delete(self) -> None:
        name = socket.if_indextoname(self._index)
        with open_netlink() as netlink:
            link = query_link(netlink, name)
        # A device that is moved here from another namespace may bring our device's number with it.
        if link.index == self._index and link.kind.endswith(self._kind):
            from pyroute2.netlink.exceptions import NetlinkError

            with route_socket() as routes, suppress(NetlinkError):  # it went meanwhile
                routes.link("del", index=self._index)


async def lease_device(
    kind: Kind, name: str, settings: Settings, netns: str | None = None, terms: Terms = PLAIN
) -> Lease:
    """
    Open a new device for somebody else, and configure it.

    Waits as open_ports() does. If cancelled, everything is undone first.

    Raises:
        DeviceBusy: If there is an interface of this name: it is somebody's.
        ValueError, PermissionError, DeviceError: As open_ports().
    """
    if not is_template(name) and await in_thread(lambda: _exists(name, netns)):
        raise DeviceBusy(EXISTS.format(name=name))
    ports = await open_ports(kind, name, settings, netns, terms=terms)
    try:
        name = ports[0].name
        if ports[0].found:  # made by somebody since we looked
            raise DeviceBusy(EXISTS.format(name=name))
        index = await in_thread(lambda: _inside(netns, lambda: socket.if_nametoindex(name)))
        return Lease(ports, kind, index, netns)
    except BaseException:
        async with AsyncExitStack() as stack:
            for port in ports:
                stack.push_async_callback(port.aclose)
        raise


def _exists(name: str, netns: str | None) -> bool:
    try:
        return bool(_inside(netns, lambda: socket.if_nametoindex(name)))
    except OSError:
        return False


def _inside_if_any(netns: str | None, function: Callable[[], object]) -> None:
    with suppress(OSError, ValueError):  # the device is gone, or its namespace, and the device with it
        _inside(netns, function)


def _inside(netns: str | None, function: Callable[[], T]) -> T:
    """Run *function* in a namespace, or where this process is."""
    if netns is None:
        return function()
    fd = open_namespace(netns)
    try:
        return in_namespace(fd, function)
    finally:
        os.close(fd)
