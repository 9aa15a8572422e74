"""Transport, the answer to "what does this packet carry, and where does it start"."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Transport"]


class Transport(NamedTuple):
    """
    Where a packet's transport header is, or why it has none that may be read.

    The reasons, beside those for which ``check()`` of the IP view raises:

    ===========================  ===================================================================
    ``fragment``                 a part of a datagram; RFC 791, RFC 8200 section 4.5
    ``atomic_fragment``          an IPv6 fragment header over a whole datagram; RFC 6946
    ``no_next_header``           next header 59, RFC 8200 section 4.7
    ``unknown_header``           a next-header number that is neither a transport nor an extension
    ``truncated_header``         an extension header reaches beyond the packet
    ``too_many_headers``         more than 8 extension headers, or more than 512 bytes of them
    ``hop_by_hop_not_first``     hop-by-hop options after another header, RFC 8200 section 4.1
    ``routing``                  segments left: the destination is not the final one, so transport
                                 checksums do not fit the addresses, RFC 8200 section 8.1
    ===========================  ===================================================================
    """

    protocol: int | None
    """The transport's protocol number; None if there is no header to read."""

    offset: int
    """Where it starts in the buffer, or where the walk stopped; 0 if the IP header is no good. In bytes."""

    end: int
    """Where the IP packet ends in the buffer, in bytes; link-layer padding may follow."""

    reason: str = ""
    """Why there is none, as one word; empty if there is one."""
