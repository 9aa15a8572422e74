"""What poll() sees of a stream: packets that were read of the socket, and those that were not."""

from __future__ import annotations

import select

from ..endpoint.forking import abandon_in_child
from ..endpoint.pollable import Pollable

__all__ = ["StreamPoll"]


class StreamPoll:
    """
    A descriptor that polls readable while the socket is, or *level* is set: an epoll instance of the two.

    A part of a packet in the socket makes it readable too. Owns its descriptors, not the socket.
    """

    def __init__(self, sock: int) -> None:
        self._held = Pollable(False)
        self._epoll = select.epoll()
        self._epoll.register(sock, select.EPOLLIN)
        self._epoll.register(self._held.fileno(), select.EPOLLIN)
        abandon_in_child(self)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._epoll.fileno()

    def set(self, level: bool) -> None:
        """Say whether a packet waits that was read already."""
        self._held.set(level)

    def close(self) -> None:
        """Close the descriptors. Idempotent."""
        self._epoll.close()
        self._held.close()

    def abandon(self) -> None:
        """See Abandoning."""
        self._epoll.close()
