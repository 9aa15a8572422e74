"""
Stock stages: what most paths are made of.

::

    from aiotun import stages

    errors = stages.ICMPErrors(tun.send_many_nowait, "10.8.0.1/24", "fd00::1/64")
    await aiotun.pump(
        tun,
        channel,
        outbound=[stages.decrement_ttl(errors), stages.clamp_mss(1400), stages.fragment(1400, errors)],
    )

Each is called with a batch and returns what goes on. It says whether it takes super-packets (``superpackets``), counts
what it dropped by reason (``dropped``), updates checksums for what it changed alone, and never raises because of what
a packet holds. All but ``filter``, ``count``, ``segment`` and ``coalesce`` and those that play a bad network look at
IP packets, not at Ethernet frames.
"""

from __future__ import annotations

from .clamp_mss import clamp_mss
from .coalesce import coalesce
from .corrupt import corrupt
from .count import Count, count, protocol_of
from .decrement_ttl import decrement_ttl
from .delay import delay
from .duplicate import duplicate
from .errors import ICMPErrors
from .filter import filter
from .fragment import fragment
from .holding import Holding
from .lose import lose
from .nat import Nat
from .nat_timeouts import NatTimeouts
from .packet_too_big import packet_too_big
from .pcap_program import Program
from .police import police
from .reorder import reorder
from .reply import reply
from .route import route
from .segment import segment
from .shape import shape
from .stock import Stock

__all__ = [
    # see what passes
    "Count",
    "Program",
    "count",
    "filter",
    "protocol_of",
    # be a router
    "ICMPErrors",
    "Nat",
    "NatTimeouts",
    "clamp_mss",
    "decrement_ttl",
    "fragment",
    "packet_too_big",
    "reply",
    "route",
    # keep to a rate
    "police",
    "shape",
    # play a bad network
    "corrupt",
    "delay",
    "duplicate",
    "lose",
    "reorder",
    # super-packets
    "coalesce",
    "segment",
    # write one's own
    "Holding",
    "Stock",
]
