"""What a UDP server counted, as a value."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

__all__ = ["UdpStatistics"]


@attrs.frozen(kw_only=True)
class UdpStatistics:
    """
    What a UdpServer counted.

    ``received == to_peers + taken + waiting + dropped["unknown_full"]``, and ``dropped["closed"]`` once it is closed.
    """

    sent: int
    """Datagrams sent, to all peers and by send_to_many()."""
    sent_bytes: int
    """Their bytes."""
    received: int
    """Datagrams that came out of the socket."""
    received_bytes: int
    """Their bytes."""
    to_peers: int
    """Those of them that were a peer's, queued or dropped there."""
    taken: int
    """Those of nobody known that recv_from_many() returned."""
    waiting: int
    """Those of nobody known that wait for it."""
    dropped: Mapping[str, int]
    """Datagrams dropped outside of any peer, by reason: those of udp_socket.py, and ``unknown_full``."""
