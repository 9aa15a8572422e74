"""Watching one interface: the kernel's announcements about it, turned into events."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

import attrs

from ..endpoint import AddressChange, Event, EventKind
from ..endpoint.forking import abandon_in_child, close_copy
from .addresses import query_addresses
from .announcements import LinkMessage, Overrun, announcements, drain, pending
from .constants import IFF_UP
from .origin import MakeSocket
from .rtnetlink import Link, open_netlink, query_link
from .tunfile import TunFile

__all__ = ["Monitor"]

TRIES = 10
"""Looks, at most, until nothing changed meanwhile."""

Addresses = dict[tuple[IPv4Interface | IPv6Interface, IPv4Address | IPv6Address | None], AddressChange]


class Monitor:
    """
    Tells what happens to a device's interface, from the device's own network namespace.

    Compares descriptions, so a lost announcement costs nothing but its moment: after an overrun
    the link and its addresses are asked for once more. Owns two sockets, one to hear by and one to ask by, so that
    asking never fails for want of a descriptor; works on any loop with add_reader(). While it watches in a namespace
    the device was moved to, that namespace stays alive.
    """

    def __init__(self, file: TunFile, tell: Callable[[Event], None]) -> None:
        self._file = file
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._link, self._addresses = self._subscribe()
        abandon_in_child(self)

    def follow(self, tell: Callable[[Event], None]) -> None:
        """Go on in the loop that runs now, and call *tell*; what happened between the two loops is told there."""
        loop = asyncio.get_running_loop()
        self._leave()
        self._loop, self._tell = loop, tell
        if self._socket.fileno() != -1:
            loop.add_reader(self._socket, self._announced)

    def close(self) -> None:
        """Stop telling; free the sockets. Idempotent."""
        self._leave()
        self._socket.close()
        self._asking.close()

    def abandon(self) -> None:
        """See Abandoning."""
        for sock in (self._socket, self._asking):
            close_copy(sock.detach())

    def _leave(self) -> None:
        if self._socket.fileno() != -1 and not self._loop.is_closed():
            self._loop.remove_reader(self._socket)

    def _subscribe(self) -> tuple[Link, Addresses]:
        """Subscribe first and look second: no change falls in between. Return what there is to see."""
        self._socket, self._asking = self._file.in_namespace(_open_both)
        try:
            seen = self._look()
        except BaseException:
            self._socket.close()
            self._asking.close()
            raise
        self._loop.add_reader(self._socket, self._announced)
        return seen

    def _look(self) -> tuple[Link, Addresses]:
        """
        Return the link and its addresses as they are.

        Until nothing was announced meanwhile: an announcement that is older than what was seen would be
        told after it.
        """
        for _ in range(TRIES):
            drain(self._socket)
            seen = self._ask()
            if not pending(self._socket):
                break
        return seen

    def _ask(self) -> tuple[Link, Addresses]:
        while True:
            name, _ = self._file.interface()
            try:
                link = query_link(self._asking, name)
            except OSError:
                if self._file.interface()[0] != name:  # it was renamed meanwhile
                    continue
                raise
            return link, _by_address(query_addresses(self._asking, link.index))

    def _announced(self) -> None:
        try:
            self._hear()
        except BaseException:
            self.close()  # or the loop would call this again at once, and for ever
            raise

    def _hear(self) -> None:
        try:
            found = announcements(self._socket)
        except Overrun:
            self._look_again()
            return
        for message in found:
            if message.index != self._link.index:
                continue
            if not isinstance(message, LinkMessage):
                self._compare_address(message.change)
            elif not message.deleted:
                self._compare_link(message.link)
            else:
                self._left()
                return

    def _look_again(self) -> None:
        try:
            link, addresses = self._look()
        except OSError:
            self._left()
            return
        if link.index != self._link.index:  # it left, and there is another one of its name
            self._left()
            return
        # To uvloop an error is the end of a descriptor; it has to be told that it is not.
        self._loop.remove_reader(self._socket)
        self._loop.add_reader(self._socket, self._announced)
        self._compare(link, addresses)

    def _left(self) -> None:
        """The link is no longer in this namespace: it moved, or it is gone."""
        self.close()
        if not self._file.alive():
            self._tell(Event(EventKind.GONE))
            return
        self._tell(Event(EventKind.MOVED))
        # Without the rights to look there, the move is the last that is heard of it.
        with contextlib.suppress(OSError):
            self._compare(*self._subscribe())

    def _compare(self, link: Link, addresses: Addresses) -> None:
        """Tell every difference to what was known."""
        self._compare_link(link)
        for key in self._addresses.keys() - addresses.keys():
            self._compare_address(attrs.evolve(self._addresses[key], state="removed"))
        for change in addresses.values():
            self._compare_address(change)

    def _compare_link(self, link: Link) -> None:
        known, self._link = self._link, link
        if link.name != known.name:
            self._tell(Event(EventKind.RENAMED, link.name))
        if link.mtu != known.mtu:
            self._tell(Event(EventKind.MTU, link.mtu))
        if (link.flags ^ known.flags) & IFF_UP:
            self._tell(Event(EventKind.UP if link.flags & IFF_UP else EventKind.DOWN))
        if link.carrier != known.carrier:
            self._tell(Event(EventKind.CARRIER, link.carrier))

    def _compare_address(self, change: AddressChange) -> None:
        key = (change.address, change.peer)
        known = self._addresses.pop(key, None)
        if change.state != "removed":
            self._addresses[key] = change
            if change != known:
                self._tell(Event(EventKind.ADDRESS, change))
        elif known is not None:
            self._tell(Event(EventKind.ADDRESS, change))


def _open_both(make: MakeSocket) -> tuple[socket.socket, socket.socket]:
    subscribed = open_netlink(make, subscribe=True)
    try:
        return subscribed, open_netlink(make)
    except BaseException:
        subscribed.close()
        raise


def _by_address(changes: Iterable[AddressChange]) -> Addresses:
    return {(change.address, change.peer): change for change in changes}
