"""What the kernel announces about links and their addresses, in the order in which it happened."""

from __future__ import annotations

import errno
import select
import socket

import attrs

from .addresses import RTM_DELADDR, RTM_NEWADDR, AddressMessage, parse_address
from .rtnetlink import RECEIVE_SIZE, RTM_NEWLINK, Link, messages, parse_link

__all__ = ["LinkMessage", "Overrun", "announcements", "drain", "pending"]

RTM_DELLINK = 17


class Overrun(Exception):
    """The kernel had announcements that did not fit the socket's buffer: ask anew."""


@attrs.frozen
class LinkMessage:
    """An announcement: the link is there, like this, or it left this namespace."""

    link: Link
    deleted: bool

    @property
    def index(self) -> int:
        """The link's index."""
        return self.link.index


def announcements(sock: socket.socket) -> list[LinkMessage | AddressMessage]:
    """
    Return the announcements that wait on a subscribed socket; ``[]`` when there are none.

    Raises:
        Overrun: If some were lost.
    """
    found: list[LinkMessage | AddressMessage] = []
    while True:
        try:
            buffer = sock.recv(RECEIVE_SIZE)
        except BlockingIOError:
            return found
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                raise Overrun from None
            raise
        for kind, _, payload in messages(buffer):
            # Other families speak of a role: AF_BRIDGE says "deleted" of a port that left its bridge.
            if kind in (RTM_NEWLINK, RTM_DELLINK) and payload[0] == socket.AF_UNSPEC:
                found.append(LinkMessage(parse_link(payload), kind == RTM_DELLINK))
            elif kind in (RTM_NEWADDR, RTM_DELADDR):
                found.append(parse_address(kind, payload))


def drain(sock: socket.socket) -> None:
    """Forget what waits on a subscribed socket. The kernel adds nothing to one that overran until it is empty."""
    while True:
        try:
            sock.recv(1)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise


def pending(sock: socket.socket) -> bool:
    """Return whether something waits on a subscribed socket, be it an overrun; it goes on waiting."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
