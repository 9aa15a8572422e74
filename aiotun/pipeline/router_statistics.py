"""What a router counted, each packet in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import attrs

from .statistics import StageStatistics

__all__ = ["LegStatistics", "RouterStatistics"]


@attrs.frozen(kw_only=True)
class LegStatistics:
    """
    What passed one leg of a router: a peer, or the tun. A super-packet is one packet.

    Conservation: ``received + created + offered == forwarded + sent + merged + waiting`` and all that is in
    ``refused`` and ``dropped``.
    """

    name: str
    ended: str | None = None
    """``closed``, ``gone``, ``failed``, ``removed`` or ``cancelled``; None while packets are carried."""
    received: int = 0
    """Packets taken from the endpoint."""
    forwarded: int = 0
    """Packets from it that were sent on to others."""
    refused: Mapping[str, int] = attrs.field(factory=dict)
    """Packets from it that were not, by reason."""
    offered: int = 0
    """Packets that others sent on to it."""
    sent: int = 0
    """Packets that the endpoint took."""
    dropped: Mapping[str, int] = attrs.field(factory=dict)
    """Packets for it that it never got, by reason."""
    created: int = 0
    """Packets that stages made, and that super-packets were cut into, beyond one each."""
    merged: int = 0
    """Packets that went into super-packets, beyond one each."""
    waiting: int = 0
    """Packets queued or in hand."""
    waiting_bytes: int = 0
    """Bytes queued."""
    arriving: tuple[StageStatistics, ...] = ()
    """What passed each stage on the way from it."""
    leaving: tuple[StageStatistics, ...] = ()
    """What passed each stage on the way to it."""

    def __add__(self, other: LegStatistics) -> LegStatistics:
        """Return the sum, under the name of the first."""
        return LegStatistics(
            name=self.name,
            received=self.received + other.received,
            forwarded=self.forwarded + other.forwarded,
            refused=dict(Counter(self.refused) + Counter(other.refused)),
            offered=self.offered + other.offered,
            sent=self.sent + other.sent,
            dropped=dict(Counter(self.dropped) + Counter(other.dropped)),
            created=self.created + other.created,
            merged=self.merged + other.merged,
            waiting=self.waiting + other.waiting,
            waiting_bytes=self.waiting_bytes + other.waiting_bytes,
        )


@attrs.frozen(kw_only=True)
class RouterStatistics:
    """
    What passed a router; str() of it is a table.

    Conservation of the whole: ``total.received + total.created == total.sent + total.merged + total.waiting`` and all
    that is in ``total.refused`` and ``total.dropped``.
    """

    tun: LegStatistics
    peers: tuple[LegStatistics, ...]
    removed: LegStatistics
    """All peers that were removed, together."""
    transit: LegStatistics
    """What the stages between peers made, dropped and hold back."""

    @property
    def total(self) -> LegStatistics:
        """All legs together, those of removed peers included."""
        total = LegStatistics(name="total")
        for leg in (self.tun, *self.peers, self.removed, self.transit):
            total += leg
        return total

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("", "received", "forwarded", "offered", "sent", "waiting", "dropped")]
        for leg in (self.tun, *self.peers, self.total):
            counts = leg.received, leg.forwarded, leg.offered, leg.sent, leg.waiting
            lost = Counter(leg.refused) + Counter(leg.dropped)
            reasons = ", ".join(f"{count} {reason}" for reason, count in lost.items())
            rows.append((leg.name, *map(str, counts), reasons or "0"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
