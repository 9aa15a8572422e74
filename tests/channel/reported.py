"""Waiting for what the network says."""

from __future__ import annotations

import select

__all__ = ["reported"]


def reported(fd: int) -> None:
    """Wait until the network's word on a datagram is in the socket: under load it comes a little later."""
    poll = select.poll()
    poll.register(fd, 0)  # errors are always told
    poll.poll()
