"""What an endpoint over UDP makes of what the network says: a count, an event, and what the path carries."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable

from ..endpoint import Event, EventKind
from .udp_address import Address, family_of
from .udp_reports import Notice

__all__ = ["HEADERS", "Notices", "payload_mtu"]

HEADERS = {socket.AF_INET: 28, socket.AF_INET6: 48}
"""Bytes of IP and UDP header in front of a datagram."""


def payload_mtu(mtu: int, address: Address) -> int:
    """Return the bytes of datagram that fit in an IP packet of *mtu* bytes to *address*."""
    return mtu - HEADERS[family_of(address)]


class Notices:
    """What was said about datagrams to one peer."""

    __slots__ = ("_dropped", "mtu", "tell")

    def __init__(self, dropped: Counter[str]) -> None:
        self._dropped = dropped
        self.tell: Callable[[Event], None] | None = None
        """Who hears of it."""
        self.mtu: int | None = None
        """Bytes of datagram that the path was last said to carry."""

    def take(self, notice: Notice) -> None:
        """Count a datagram that is lost, and tell what is new."""
        report = notice.report
        if not notice.local:
            self._dropped["reported_lost"] += 1
        if notice.mtu is not None and report.peer is not None:
            mtu = payload_mtu(notice.mtu, report.peer)
            if mtu != self.mtu:
                self.mtu = mtu
                self._say(Event(EventKind.MTU, mtu))
        elif not notice.local:
            self._say(Event(EventKind.REPORTED, report))

    def _say(self, event: Event) -> None:
        if self.tell is not None:
            self.tell(event)
