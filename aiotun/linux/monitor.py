"""Watching one interface: the kernel's announcements about it, turned into events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from ..endpoint import Event, EventKind
from .constants import IFF_UP
from .rtnetlink import Link, Overrun, link_messages, open_netlink
from .tunfile import TunFile

__all__ = ["Monitor"]


class Monitor:
    """
    Tells what happens to a device's interface, from the device's own network namespace.

    Compares descriptions, so a lost announcement costs nothing but its moment: after an overrun
    the link is asked for once more. Owns its socket; works on any loop with add_reader(). While it
    watches in a namespace the device was moved to, that namespace stays alive.
    """

    def __init__(self, file: TunFile, tell: Callable[[Event], None]) -> None:
        self._file = file
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._subscribe()

    def close(self) -> None:
        """Stop telling; free the socket. Idempotent."""
        if self._socket.fileno() != -1:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._socket)
            self._socket.close()

    def _subscribe(self) -> None:
        """Subscribe first and look second: no change falls in between."""
        self._socket = self._file.in_namespace(lambda make: open_netlink(make, subscribe=True))
        try:
            self._known = self._file.query()
        except BaseException:
            self._socket.close()
            raise
        self._loop.add_reader(self._socket, self._announced)

    def _announced(self) -> None:
        try:
            messages = link_messages(self._socket)
        except Overrun:
            self._look_again()
            return
        for message in messages:
            if message.link.index == self._known.index:
                if message.deleted:
                    self._left()
                    return
                self._compare(message.link)

    def _look_again(self) -> None:
        try:
            self._compare(self._file.query())
        except OSError:
            self._left()

    def _left(self) -> None:
        """The link is no longer in this namespace: it moved, or it is gone."""
        self.close()
        if not self._file.alive():
            self._tell(Event(EventKind.GONE))
            return
        # Without the rights to look there, the move is the last that is heard of it.
        with contextlib.suppress(OSError):
            self._subscribe()
        self._tell(Event(EventKind.MOVED))

    def _compare(self, link: Link) -> None:
        known, self._known = self._known, link
        if link.name != known.name:
            self._tell(Event(EventKind.RENAMED, link.name))
        if link.mtu != known.mtu:
            self._tell(Event(EventKind.MTU, link.mtu))
        if (link.flags ^ known.flags) & IFF_UP:
            self._tell(Event(EventKind.UP if link.flags & IFF_UP else EventKind.DOWN))
