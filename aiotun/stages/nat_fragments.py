"""Fragments on their way through a NAT: only the first says whose they are, and it may come last."""

from __future__ import annotations

from collections import OrderedDict

from .nat_session import Session

__all__ = ["DATAGRAMS", "WAITING", "Fragments"]

DATAGRAMS = 1024
"""How many fragmented datagrams are remembered; beyond that the oldest is forgotten."""

WAITING = 64
"""How many fragments wait for the first of their datagram, all together."""


class _Datagram:
    """One fragmented datagram: whose it is, or what waits to know."""

    __slots__ = ("due", "session", "waiting")

    def __init__(self, due: float) -> None:
        self.due = due
        self.session: Session | None = None
        self.waiting: list[bytes] = []


class Fragments:
    """
    Which session the fragments of one direction belong to, in whatever order they come (RFC 4787 REQ-14).

    Args:
        timeout: How long a datagram is remembered after its first fragment that came, in seconds.
    """

    __slots__ = ("_datagrams", "_timeout", "_waiting", "lost")

    lost: int
    """Fragments that waited in vain, for the owner to count and set to 0."""

    def __init__(self, timeout: float) -> None:
        self._datagrams: OrderedDict[bytes, _Datagram] = OrderedDict()
        self._timeout = timeout
        self._waiting = 0
        self.lost = 0

    def __len__(self) -> int:
        """Return how many fragments wait."""
        return self._waiting

    def expire(self, now: float) -> None:
        """Forget what is too old."""
        while self._datagrams and next(iter(self._datagrams.values())).due <= now:
            self._forget_oldest()

    def first(self, key: bytes, session: Session, now: float) -> list[bytes]:
        """Take notice of a first fragment; return those that waited for it."""
        datagram = self._datagrams.get(key) or self._new(key, now)
        datagram.session = session
        waited, datagram.waiting = datagram.waiting, []
        self._waiting -= len(waited)
        return waited

    def later(self, key: bytes, packet: bytes, now: float) -> Session | str:
        """Return whose a later fragment is; ``held`` if it waits here to know, or why it does not."""
        datagram = self._datagrams.get(key)
        if datagram is not None and datagram.session is not None:
            return datagram.session
        if self._waiting >= WAITING:
            return "fragments_full"
        (datagram or self._new(key, now)).waiting.append(packet)
        self._waiting += 1
        return "held"

    def clear(self) -> None:
        """Forget everything."""
        while self._datagrams:
            self._forget_oldest()

    def _new(self, key: bytes, now: float) -> _Datagram:
        if len(self._datagrams) >= DATAGRAMS:
            self._forget_oldest()
        datagram = self._datagrams[key] = _Datagram(now + self._timeout)
        return datagram

    def _forget_oldest(self) -> None:
        _, oldest = self._datagrams.popitem(last=False)
        self._waiting -= len(oldest.waiting)
        self.lost += len(oldest.waiting)
